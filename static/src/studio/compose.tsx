import type { Signal } from "@preact/signals";
import { useEffect, useId, useState } from "preact/hooks";
import { IconButton } from "../shell/icon";
import { X } from "../shell/icons";
import { models } from "../state/models";
import { backends } from "../state/backends";
import { getStep, isStepLive, type StepState } from "../state/steps";
import { stepTitle } from "./changes";
import { ComposeFoot } from "./compose-foot";
import { type Draft, draftOf, findModel, flawOf, isEdited, loadFromStep, markSent, startWithModel, withModel } from "./draft";
import { GrowingText } from "./growing-text";
import { canGenerate, ModelField } from "./model-field";
import { cancelStep, generate } from "./step-actions";
import { NumberField, SchedulerField, SeedField } from "./parameter-fields";
import { SizeField } from "./size-field";

interface ComposeProps {
  session: string;
  step: Signal<StepState> | null;
  onMade: (step: string) => void;
  onClose: () => void;
}

/** What to make next: words, model, numbers, and the one button. */
export function Compose({ session, step, onMade, onClose }: ComposeProps) {
  const draft = draftOf(session);
  const now = draft.value;
  const change = (next: Partial<Draft>) => (draft.value = { ...draft.peek(), ...next });
  const model = findModel(models.value, now.model);
  const [fresh, startFresh] = useState(false);
  const [busy, setBusy] = useState(false);
  const [flaw, setFlaw] = useState<string | null>(null);
  const parent = fresh ? null : (step?.value ?? null);
  const live = step !== null && isStepLive(step.value);
  const id = useId();

  useEffect(() => startFresh(false), [step?.value.id]);
  useEffect(() => setFlaw(null), [now]);
  useFirstModel(session);

  async function make() {
    if (busy || live) return;
    const wanted = draft.peek();
    const chosen = findModel(models.peek(), wanted.model);
    const wrong = flawOf(wanted, chosen);
    setFlaw(wrong);
    if (wrong !== null || !chosen) return;
    setBusy(true);
    const made = await generate(session, wanted, chosen, parent?.id ?? null);
    setBusy(false);
    if (made === null) return;
    markSent(session, made);
    onMade(made);
  }

  return (
    <form
      class="compose"
      aria-label="Compose"
      onSubmit={(event) => {
        event.preventDefault();
        void make();
      }}
      onKeyDown={(event) => {
        if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
          event.preventDefault();
          // A number still being typed is taken when its box is left.
          if (event.target instanceof HTMLInputElement) event.target.blur();
          void make();
        }
      }}
    >
      <div class="compose-fields scroll">
        <IconButton class="sheet-close" icon={X} label="Close" onClick={onClose} />
        <GrowingText label="Prompt" name="prompt" rows={4} value={now.prompt} onInput={(prompt) => change({ prompt })} />
        <GrowingText label="Negative prompt" name="negative" rows={1} value={now.negative} onInput={(negative) => change({ negative })} />
        <ModelField chosen={model} onChoose={(next) => (draft.value = withModel(draft.peek(), next))} />
        <SizeField width={now.width} height={now.height} base={model?.base} onChange={change} />
        <div class="pair">
          <NumberField label="Batch" name="batch" value={now.batch} min={1} max={100} onChange={(batch) => change({ batch: batch ?? 1 })} />
          <NumberField label="Steps" name="steps" value={now.steps} min={1} max={1000} empty="model's own" onChange={(steps) => change({ steps })} />
        </div>
        <div class="pair">
          <NumberField label="Cfg" name="cfg" value={now.cfg} min={1} max={200} step={0.5} empty="model's own" onChange={(cfg) => change({ cfg })} />
          <SchedulerField value={now.scheduler} onChange={(scheduler) => change({ scheduler })} />
        </div>
        <SeedField value={now.seed} known={step?.value.parameters.seed ?? null} onChange={(seed) => change({ seed })} />
        {step && <From id={id} step={step.value} fresh={fresh} onFresh={startFresh} />}
        {step && isEdited(session) && (
          <button type="button" class="button quiet compact" onClick={() => loadFromStep(session, step.peek())}>
            Take the chosen step's settings
          </button>
        )}
      </div>
      <ComposeFoot
        model={model}
        flaw={flaw}
        live={live ? step.value : null}
        busy={busy}
        onCancel={() => step && void cancelStep(step.value.id)}
      />
    </form>
  );
}

/** Which step the next one branches from; or none. */
function From({ id, step, fresh, onFresh }: { id: string; step: StepState; fresh: boolean; onFresh: (fresh: boolean) => void }) {
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

/** A new draft starts with the first model that can be used now. */
function useFirstModel(session: string): void {
  useEffect(() => {
    const known = models.peek() ?? [];
    if (findModel(known, draftOf(session).peek().model)) return;
    const usable = known.filter(canGenerate);
    const reachable = new Set(backends.peek().filter((backend) => backend.state === "connected").map((backend) => backend.id));
    const first = usable.find((model) => reachable.has(model.backend_id)) ?? usable[0];
    if (first) startWithModel(session, first);
  }, [session, models.value]);
}
