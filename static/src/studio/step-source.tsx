import { below } from "../lib/base";
import { Picture } from "../photo/picture";
import { usePhoto } from "../photo/use-photo";
import { loras } from "../state/models";
import type { StepState } from "../state/steps";
import { USUAL_STRENGTH } from "./draft";
import { loraName } from "./loras";

interface StepSourceProps {
  step: StepState;
  addressOf: (photo: string) => string;
  onOpen: (photo: string) => void;
}

const BOX = { width: 40, height: 40 };

/** What a step was made from beside its words: its source and how much of it changed, and its LoRAs. */
export function StepSource({ step, addressOf, onOpen }: StepSourceProps) {
  const { source_photo_id: id, parameters } = step;
  const { photo, error } = usePhoto(id);
  const added = parameters.loras ?? [];
  if (id === null && added.length === 0) return null;
  const name = photo?.value.filename;
  // What a server made is called by a long number.
  const isNamed = photo?.value.source === "uploaded" || photo?.value.source === "imported";
  return (
    <div class="step-source small" data-testid="step-source">
      {id !== null && (
        <>
          {photo && (
            <a
              href={below(addressOf(id))}
              aria-label={`Open the source ${name}`}
              title={name}
              onClick={(event) => {
                event.preventDefault();
                onOpen(id);
              }}
            >
              <Picture photo={photo} box={BOX} />
            </a>
          )}
          <span class="ellipsis">{error === null ? `from ${isNamed ? name : "this picture"}` : "from a photo that is gone"}</span>
          <span class="fact">{`strength ${parameters.strength ?? USUAL_STRENGTH}`}</span>
        </>
      )}
      {added.map(({ key, weight = 1 }) => (
        <span class="fact ellipsis" key={key}>
          {`${loraName({ key, name: null }, loras.value)} ${weight}`}
        </span>
      ))}
    </div>
  );
}
