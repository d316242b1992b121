import type { Signal } from "@preact/signals";
import { useId } from "preact/hooks";
import type { Model, Photo } from "../api/types";
import { IconButton } from "../components/icon";
import { X } from "../components/icons";
import { toast } from "../lib/toasts";
import { usePhoto } from "../photo/use-photo";
import { models } from "../state/models";
import { isHome } from "../state/photos";
import { getStep, type StepState } from "../state/steps";
import { stepTitle } from "./changes";
import { FLAW_ID } from "./compose-foot";
import { type Draft, type Flaw, findModel } from "./draft";
import { GrowingText } from "./growing-text";
import { chooseModel, draftOf, isEdited, loadFromStep, takeSource } from "./kept-drafts";
import { LoraField } from "./lora-field";
import { ModelField } from "./model-field";
import { NumberField, SchedulerField, SeedField } from "./parameter-fields";
import type { Branch } from "./parent";
import { SizeField } from "./size-field";
import { SourceField } from "./source-field";
import { cropOf, sizeFromSource } from "./source-size";

interface ComposeFieldsProps {
  session: string;
  step: StepState | null;
  branch: Branch | null;
  flaw: Flaw | null;
  fresh: boolean;
  onFresh: (fresh: boolean) => void;
  onClose: () => void;
}

/** Everything that can be said about the next step. */
export function ComposeFields({ session, step, branch, flaw, fresh, onFresh, onClose }: ComposeFieldsProps) {
  const draft = draftOf(session);
  const now = draft.value;
  const model = findModel(models.value, now.model);
  const { photo, error } = usePhoto(now.source);
  const change = (next: Partial<Draft>) => (draft.value = { ...draft.peek(), ...next });
  const flawOf = (field: keyof Draft) => (flaw?.field === field ? FLAW_ID : undefined);
  return (
    <div class="compose-fields scroll">
      <IconButton class="sheet-close" icon={X} label="Close" onClick={onClose} />
      <SourceField
        draft={draft}
        model={model}
        photo={photo}
        error={error}
        flaw={flawOf("source")}
        strengthFlaw={flawOf("strength")}
      />
      <GrowingText
        label="Prompt"
        name="prompt"
        rows={4}
        value={now.prompt}
        flaw={flawOf("prompt")}
        onInput={(prompt) => change({ prompt })}
      />
      <GrowingText
        label="Negative prompt"
        name="negative"
        rows={1}
        value={now.negative}
        onInput={(negative) => change({ negative })}
      />
      <ModelField chosen={model} flaw={flawOf("model")} onChoose={(next) => chooseModel(session, model, next)} />
      <LoraField draft={draft} model={model} />
      <div class="field">
        <SizeField
          width={now.width}
          height={now.height}
          base={model?.base}
          onChange={(size) => change({ ...size, ownSize: true })}
        />
        {photo && <SourceCrop draft={draft} model={model} photo={photo.value} />}
      </div>
      <div class="pair">
        <NumberField
          label="Batch"
          name="batch"
          value={now.batch}
          min={1}
          max={100}
          onChange={(batch) => change({ batch: batch ?? 1 })}
        />
        <NumberField
          label="Steps"
          name="steps"
          value={now.steps}
          min={1}
          max={1000}
          empty="model's own"
          onChange={(steps) => change({ steps })}
        />
      </div>
      <div class="pair">
        <NumberField
          label="CFG scale"
          name="cfg"
          value={now.cfg}
          min={1}
          max={200}
          step={0.5}
          empty="model's own"
          onChange={(cfg) => change({ cfg })}
        />
        <SchedulerField value={now.scheduler} onChange={(scheduler) => change({ scheduler })} />
      </div>
      <SeedField value={now.seed} known={step?.parameters.seed ?? null} onChange={(seed) => change({ seed })} />
      {branch && <From branch={branch} fresh={fresh} onFresh={onFresh} />}
      {step && isEdited(session) && (
        <button type="button" class="button quiet compact" onClick={() => takeSettings(session, step)}>
          Take the chosen step's settings
        </button>
      )}
    </div>
  );
}

function takeSettings(session: string, step: StepState): void {
  const undo = loadFromStep(session, step);
  toast("The chosen step's settings took the place of yours", { action: { label: "Undo", run: undo } });
}

/** Which step the next one branches from; or none. */
function From({ branch: { parent, why }, fresh, onFresh }: { branch: Branch; fresh: boolean; onFresh: (fresh: boolean) => void }) {
  const id = useId();
  const isFresh = fresh || parent === null;
  return (
    <div class="field" data-testid="branches-from">
      <span class="label" id={id}>
        Branches from
      </span>
      <div class="segments from" role="group" aria-labelledby={id}>
        {parent && (
          <button type="button" class="ellipsis" aria-pressed={!isFresh} onClick={() => onFresh(false)}>
            {stepTitle(parent, getStep(parent.parent_id)?.value)}
          </button>
        )}
        <button type="button" aria-pressed={isFresh} onClick={() => onFresh(true)}>
          Nothing
        </button>
      </div>
      <p class="small muted from-why">{(!fresh && why) || "\u00a0"}</p>
    </div>
  );
}

/** Says that size and source differ in aspect, and offers the source's. */
function SourceCrop({ draft, model, photo }: { draft: Signal<Draft>; model: Model | undefined; photo: Photo }) {
  const crop = isHome(photo) ? cropOf(photo, draft.value) : null;
  if (crop === null) return null;
  const follow = () => {
    draft.value = { ...draft.peek(), ownSize: false };
    takeSource(draft, photo);
  };
  const { width, height } = sizeFromSource(photo, model);
  return (
    <p class="small muted source-crop" data-testid="source-crop">
      {`The source is cropped to ${crop.width} × ${crop.height}, its middle.`}
      <button type="button" class="button quiet compact" onClick={follow}>
        {`Make ${width} × ${height}`}
      </button>
    </p>
  );
}
