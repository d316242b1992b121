import { useId } from "preact/hooks";
import { IconButton } from "../shell/icon";
import { X } from "../shell/icons";
import { models } from "../state/models";
import { getStep, type StepState } from "../state/steps";
import { stepTitle } from "./changes";
import { type Draft, findModel, withModel } from "./draft";
import { GrowingText } from "./growing-text";
import { draftOf, isEdited, loadFromStep } from "./kept-drafts";
import { ModelField } from "./model-field";
import { NumberField, SchedulerField, SeedField } from "./parameter-fields";
import { SizeField } from "./size-field";

interface ComposeFieldsProps {
  session: string;
  step: StepState | null;
  fresh: boolean;
  onFresh: (fresh: boolean) => void;
  onClose: () => void;
}

/** Everything that can be said about the next step. */
export function ComposeFields({ session, step, fresh, onFresh, onClose }: ComposeFieldsProps) {
  const draft = draftOf(session);
  const now = draft.value;
  const model = findModel(models.value, now.model);
  const change = (next: Partial<Draft>) => (draft.value = { ...draft.peek(), ...next });
  return (
    <div class="compose-fields scroll">
      <IconButton class="sheet-close" icon={X} label="Close" onClick={onClose} />
      <GrowingText label="Prompt" name="prompt" rows={4} value={now.prompt} onInput={(prompt) => change({ prompt })} />
      <GrowingText
        label="Negative prompt"
        name="negative"
        rows={1}
        value={now.negative}
        onInput={(negative) => change({ negative })}
      />
      <ModelField chosen={model} onChoose={(next) => (draft.value = withModel(draft.peek(), next))} />
      <SizeField width={now.width} height={now.height} base={model?.base} onChange={change} />
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
      {step && <From step={step} fresh={fresh} onFresh={onFresh} />}
      {step && isEdited(session) && (
        <button type="button" class="button quiet compact" onClick={() => loadFromStep(session, step)}>
          Take the chosen step's settings
        </button>
      )}
    </div>
  );
}

/** Which step the next one branches from; or none. */
function From({ step, fresh, onFresh }: { step: StepState; fresh: boolean; onFresh: (fresh: boolean) => void }) {
  const id = useId();
  return (
    <div class="field">
      <span class="label" id={id}>
        Branches from
      </span>
      <div class="segments from" role="group" aria-labelledby={id}>
        <button type="button" class="ellipsis" aria-pressed={!fresh} onClick={() => onFresh(false)}>
          {stepTitle(step, getStep(step.parent_id)?.value)}
        </button>
        <button type="button" aria-pressed={fresh} onClick={() => onFresh(true)}>
          Nothing
        </button>
      </div>
    </div>
  );
}
