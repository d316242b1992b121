import type { Signal } from "@preact/signals";
import { useId, useRef } from "preact/hooks";
import type { Model, Photo } from "../api/types";
import { Icon } from "../components/icon";
import { CircleAlert, ImageUp, RotateCcw, X } from "../components/icons";
import { ProgressBar } from "../components/progress";
import { useKeptFocus } from "../lib/focus";
import { baseName } from "../lib/format";
import { isPhone } from "../lib/responsive";
import { toast } from "../lib/toasts";
import { Picture } from "../photo/picture";
import { isHome, lostReason } from "../state/photos";
import { pickPicture } from "../upload/pick";
import { stateOf } from "../upload/words";
import type { Draft, Flaw } from "./draft";
import { SliderField } from "./slider-field";
import { type Arrival, arrivalOf, dismissArrival, retryArrival, uploadSource } from "./source-upload";

interface SourceFieldProps {
  draft: Signal<Draft>;
  model: Model | undefined;
  /** The photo that is the source, once it is read. */
  photo: Signal<Photo> | null;
  /** Why it cannot be read. */
  error: string | null;
  /** The id of what says why the source cannot be used. */
  flaw?: string | undefined;
  strengthFlaw?: string | undefined;
}

/** The bases that Darkroom makes pictures from pictures with. */
const FROM_SOURCE = new Set(["sd-1", "sd-2", "sdxl"]);
const BOX = { width: 64, height: 64 };

/** Why this model makes nothing from a source, in words. */
function whyNoSource(model: Model | undefined): string | null {
  if (!model || FROM_SOURCE.has(model.base)) return null;
  return `Darkroom does not make ${baseName(model.base)} pictures from a source. Remove the source, or choose another model.`;
}

/** Why the draft cannot be sent with its source. */
export function sourceFlaw(draft: Signal<Draft>, model: Model | undefined): Flaw | null {
  const flaw = (words: string): Flaw => ({ field: "source", words });
  const arrival = arrivalOf(draft).peek();
  if (arrival?.upload && !arrival.upload.hasEnded) return flaw("The source is still being uploaded.");
  if (arrival) return flaw("The source did not arrive. Dismiss it, or choose another picture.");
  const { source } = draft.peek();
  if (source === null) return null;
  const unfit = whyNoSource(model);
  return unfit === null ? null : flaw(unfit);
}

/** The picture that the next ones are made from, how it gets here, and how much of it changes. */
export function SourceField({ draft, model, photo, error, flaw, strengthFlaw }: SourceFieldProps) {
  const label = useId();
  const place = useRef<HTMLDivElement>(null);
  const arrival = arrivalOf(draft).value;
  const { source, strength } = draft.value;
  const state = arrival ? "arriving" : source === null ? "empty" : "taken";
  useKeptFocus(place, state, () => place.current?.querySelector("button"));
  const unfit = source === null ? null : whyNoSource(model);
  const choose = () => pickPicture((file) => uploadSource(draft, file));
  return (
    <div
      ref={place}
      class="field source-field"
      role="group"
      aria-labelledby={label}
      aria-describedby={flaw}
      data-testid="compose-source"
      data-state={state}
      data-source={source ?? undefined}
    >
      <span class="label" id={label}>
        Source
      </span>
      {arrival && <Arriving draft={draft} arrival={arrival} />}
      {state === "empty" && <Empty onChoose={choose} />}
      {state === "taken" && <Taken draft={draft} photo={photo} error={error} onChoose={choose} />}
      {state === "taken" && (
        <>
          <span class="label">Strength</span>
          <SliderField
            label="Strength"
            name="strength"
            value={strength}
            step={0.05}
            from={0}
            to={1}
            ends={["little change", "much change"]}
            flaw={strengthFlaw}
            onChange={(next) => (draft.value = { ...draft.peek(), strength: next })}
          />
        </>
      )}
      {unfit !== null && (
        <p class="small bad" role="status">
          {unfit}
        </p>
      )}
    </div>
  );
}

function Empty({ onChoose }: { onChoose: () => void }) {
  return (
    <div class="source-empty">
      {!isPhone.value && <span class="small muted">Drop a picture here, or</span>}
      <button type="button" class="button quiet compact" onClick={onChoose}>
        {isPhone.value ? "Choose a picture…" : "choose…"}
      </button>
    </div>
  );
}

interface TakenProps {
  draft: Signal<Draft>;
  photo: Signal<Photo> | null;
  error: string | null;
  onChoose: () => void;
}

function Taken({ draft, photo, error, onChoose }: TakenProps) {
  const now = photo?.value;
  const trouble = error ?? (now && !isHome(now) ? `Not here: ${lostReason(now)}.` : null);
  const remove = () => {
    const { source } = draft.peek();
    draft.value = { ...draft.peek(), source: null };
    const undo = () => {
      if (draft.peek().source === null) draft.value = { ...draft.peek(), source };
    };
    toast("The source was removed", { action: { label: "Undo", run: undo }, kind: "source" });
  };
  return (
    <div class="source">
      <span class="source-picture">{photo && <Picture photo={photo} box={BOX} />}</span>
      <div class="source-words">
        <span class="ellipsis" title={now?.filename}>
          {now?.filename ?? "\u00a0"}
        </span>
        {trouble === null ? (
          <span class="small muted mono">{now ? `${now.width} × ${now.height}` : "\u00a0"}</span>
        ) : (
          <span class="small bad">{trouble}</span>
        )}
      </div>
      <button
        type="button"
        class="icon-button"
        aria-label="Choose another source"
        title="Choose another source, or drop one here"
        onClick={onChoose}
      >
        <Icon of={ImageUp} />
      </button>
      <button
        type="button"
        class="icon-button"
        name="source"
        aria-label="Remove the source"
        title="Remove the source"
        onClick={remove}
      >
        <Icon of={X} />
      </button>
    </div>
  );
}

function wordsOf(arrival: Arrival): string {
  if (arrival.upload === null) return arrival.words;
  const { upload, hold } = arrival;
  const status = upload.status.value;
  return (status.at === "waiting" && hold.value?.words) || stateOf(status, upload.file.size, upload.shown.value);
}

/** What is being uploaded to be the source, or why it is not. */
function Arriving({ draft, arrival }: { draft: Signal<Draft>; arrival: Arrival }) {
  const { upload } = arrival;
  const status = upload?.status.value;
  const isOver = upload === null || upload.hasEnded;
  const said = wordsOf(arrival);
  const portion = upload && status?.at === "sending" && upload.file.size > 0 ? upload.shown.value / upload.file.size : null;
  return (
    <div class="source">
      <span class="source-picture">{isOver && <Icon of={CircleAlert} />}</span>
      <div class="source-words">
        <span class="ellipsis">{upload?.file.name ?? "No source"}</span>
        <span class={`small ${isOver ? "bad" : "muted"}`} role={isOver ? "alert" : undefined}>
          {said}
        </span>
        {!isOver && <ProgressBar portion={portion} label="Uploading the source" />}
      </div>
      {status?.at === "failed" && (
        <button type="button" class="icon-button" aria-label="Try again" title="Try again" onClick={() => retryArrival(draft)}>
          <Icon of={RotateCcw} />
        </button>
      )}
      <button
        type="button"
        class="icon-button"
        name="source"
        aria-label={isOver ? "Dismiss" : "Cancel the upload"}
        title={isOver ? "Dismiss" : "Cancel the upload"}
        onClick={() => dismissArrival(draft)}
      >
        <Icon of={X} />
      </button>
    </div>
  );
}
