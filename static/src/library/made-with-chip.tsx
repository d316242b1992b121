import { useEffect } from "preact/hooks";
import type { PhotosOfModel } from "../api/types";
import { Icon } from "../shell/icon";
import { X } from "../shell/icons";
import { catalogue, loadCatalogue } from "../state/catalogue";

/** Which model the photos are of; a press shows all again. */
export function MadeWithChip({ madeWith, onClear }: { madeWith: PhotosOfModel; onClear: () => void }) {
  useEffect(() => {
    if (catalogue.peek() === null) void loadCatalogue();
  }, []);
  const name = nameOf(madeWith);
  return (
    <button type="button" class="chip" aria-label={`Only photos made with ${name}: show all`} title="Show all" onClick={onClear}>
      <span class="ellipsis">{name}</span>
      <Icon of={X} />
    </button>
  );
}

/** Its keys come first, and last its name, unless another model has it too. */
function nameOf({ model, lora }: PhotosOfModel): string {
  const values = [...(model ?? []), ...(lora ?? [])];
  const known = [...(catalogue.value?.items ?? []), ...(catalogue.value?.missing ?? [])];
  return known.find((one) => values.includes(one.key))?.name ?? values.at(-1)!;
}
