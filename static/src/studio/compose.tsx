import type { Signal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import { backends } from "../state/backends";
import { models } from "../state/models";
import { isStepLive, type StepState } from "../state/steps";
import { ComposeFields } from "./compose-fields";
import { ComposeFoot } from "./compose-foot";
import { draftOf, findModel, flawOf, markSent, startWithModel } from "./draft";
import { canGenerate } from "./model-field";
import { cancelStep, generate } from "./step-actions";

interface ComposeProps {
  session: string;
  step: Signal<StepState> | null;
  onMade: (step: string) => void;
  onClose: () => void;
}

/** What to make next: words, model, numbers, and the one button. */
export function Compose({ session, step, onMade, onClose }: ComposeProps) {
  const draft = draftOf(session);
  const [fresh, startFresh] = useState(false);
  const [busy, setBusy] = useState(false);
  const [flaw, setFlaw] = useState<string | null>(null);
  const chosen = step?.value ?? null;
  const live = chosen !== null && isStepLive(chosen) ? chosen : null;

  useEffect(() => startFresh(false), [chosen?.id]);
  useEffect(() => setFlaw(null), [draft.value]);
  useFirstModel(session);

  async function make() {
    if (busy || live) return;
    const wanted = draft.peek();
    const model = findModel(models.peek(), wanted.model);
    const wrong = flawOf(wanted, model);
    setFlaw(wrong);
    if (wrong !== null || !model) return;
    setBusy(true);
    const made = await generate(session, wanted, model, fresh ? null : (chosen?.id ?? null));
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
        if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
        event.preventDefault();
        // A number still being typed is taken when its box is left.
        if (event.target instanceof HTMLInputElement) event.target.blur();
        void make();
      }}
    >
      <ComposeFields session={session} step={chosen} fresh={fresh} onFresh={startFresh} onClose={onClose} />
      <ComposeFoot
        model={findModel(models.value, draft.value.model)}
        flaw={flaw}
        live={live}
        busy={busy}
        onCancel={() => live && void cancelStep(live.id)}
      />
    </form>
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
