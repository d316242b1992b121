import { type Signal, useSignalEffect } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import { backends, backendsKnown } from "../state/backends";
import { models } from "../state/models";
import { isStepLive, type StepState } from "../state/steps";
import { ComposeFields } from "./compose-fields";
import { ComposeFoot } from "./compose-foot";
import { findModel, flawOf } from "./draft";
import { draftOf, markSent, startWithModel } from "./kept-drafts";
import { canGenerate } from "./model-field";
import { generate } from "./step-actions";

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
    markSent(session, made, wanted);
    // Whoever has gone elsewhere meanwhile stays there.
    if (location.pathname.startsWith(`/studio/${session}`)) onMade(made);
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
        if (event.repeat) return;
        // A number still being typed is taken when its box is left.
        if (event.target instanceof HTMLInputElement) event.target.blur();
        void make();
      }}
    >
      <ComposeFields session={session} step={chosen} fresh={fresh} onFresh={startFresh} onClose={onClose} />
      <ComposeFoot model={findModel(models.value, draft.value.model)} flaw={flaw} live={live} busy={busy} />
    </form>
  );
}

/** A new draft starts with the first model that can be used now. One whose model has gone waits for the owner's choice. */
function useFirstModel(session: string): void {
  useSignalEffect(() => {
    if (draftOf(session).value.model !== null || !backendsKnown.value) return;
    const usable = (models.value ?? []).filter(canGenerate);
    const connected = backends.value.filter((one) => one.state === "connected").map((one) => one.id);
    const undecided = backends.value.some((one) => one.state === "connecting");
    const first = usable.find((model) => connected.includes(model.backend_id)) ?? (undecided ? undefined : usable[0]);
    if (first) startWithModel(session, first);
  });
}
