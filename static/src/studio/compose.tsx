import { type Signal, useSignalEffect } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Model } from "../api/types";
import { isPhone } from "../lib/responsive";
import { toast } from "../lib/toasts";
import { backends, backendsKnown } from "../state/backends";
import { loras, models } from "../state/models";
import { getStep, type StepState } from "../state/steps";
import { ComposeFields } from "./compose-fields";
import { ComposeFoot } from "./compose-foot";
import { type Draft, type Flaw, findModel, flawOf } from "./draft";
import { draftOf, markSent, moveDraft, NEW, startWithModel } from "./kept-drafts";
import { canGenerate } from "./model-field";
import { type Branch, branchOf } from "./parent";
import { sourcePlace } from "./source-drop";
import { sourceFlaw } from "./source-field";
import { generate } from "./step-actions";

export interface ComposeProps {
  session: string;
  step: Signal<StepState> | null;
  /** On a phone: whether it lies over the session now. */
  shown: boolean;
  /** A step was begun; in a session that was created for it, if that is `created`. */
  onMade: (made: { session: string; step: string; created: boolean }) => void;
  onClose: () => void;
}

/** Taps within this time are one, as a double click is: not every browser counts them. */
const DOUBLE_TAP_MS = 500;
/** So many steps wait at most to be sent, where Darkroom does not answer. */
const MOST_SENDING = 20;

/** What to make next: words, model, numbers, and the button that queues it. */
export function Compose({ session, step, shown, onMade, onClose }: ComposeProps) {
  const draft = draftOf(session);
  const form = useRef<HTMLFormElement>(null);
  const [fresh, startFresh] = useState(false);
  const [found, setFound] = useState<{ flaw: Flaw | null; of: Draft } | null>(null);
  const flaw = found?.of === draft.value ? found.flaw : null;
  const send = useSending(session, onMade);
  const chosen = step?.value ?? null;
  const model = findModel(models.value, draft.value.model);
  const branch = chosen && branchFrom(chosen, draft.value, model);

  const focus = (field: keyof Draft) => form.current!.querySelector<HTMLElement>(`[name="${field}"]`)?.focus();
  useEffect(() => startFresh(false), [chosen?.id]);
  useFirstModel(session);
  const hasSteps = chosen !== null;
  useEffect(() => {
    if (session === NEW && !hasSteps && (shown || !isPhone.peek())) focus("prompt");
  }, [session === NEW && !hasSteps, shown]);

  function make() {
    const wanted = draft.peek();
    const wrong = flawOf(wanted, model) ?? sourceFlaw(draft, model);
    setFound({ flaw: wrong, of: wanted });
    if (wrong !== null) focus(wrong.field);
    if (wrong !== null || !model) return;
    const parent = fresh || !chosen ? null : branchFrom(chosen, wanted, model).parent;
    send(wanted, model, parent?.id ?? null);
  }

  const clicked = useRef<{ draft: Draft | null; at: number }>({ draft: null, at: -Infinity });
  return (
    <form
      ref={form}
      class="compose"
      aria-label="Compose"
      // What is wrong is said in its words, below.
      noValidate
      {...sourcePlace(draft)}
      onSubmit={(event) => {
        event.preventDefault();
        make();
      }}
      onClick={(event) => {
        // Enter in a field clicks the button too, as a click of detail 0.
        if (event.detail === 0 || !(event.target as Element).closest("[type=submit]")) return;
        const { draft: before, at } = clicked.current;
        const isTouch = event instanceof PointerEvent && event.pointerType === "touch";
        const isSoon = isTouch && event.timeStamp - at < DOUBLE_TAP_MS;
        if (before === draft.peek() && (event.detail > 1 || isSoon)) event.preventDefault();
        else clicked.current = { draft: draft.peek(), at: event.timeStamp };
      }}
      onKeyDown={(event) => {
        if (event.key !== "Enter") return;
        const isCommand = event.ctrlKey || event.metaKey;
        if (!isCommand && event.target instanceof HTMLTextAreaElement) return;
        // A key that is held down is one press.
        if (event.repeat || isCommand) event.preventDefault();
        if (event.repeat || !isCommand) return;
        // A number still being typed is taken when its box is left.
        if (event.target instanceof HTMLInputElement) {
          event.target.blur();
          event.target.focus();
        }
        make();
      }}
    >
      <ComposeFields
        session={session}
        step={chosen}
        branch={branch}
        flaw={flaw}
        fresh={fresh}
        onFresh={startFresh}
        onClose={onClose}
      />
      <ComposeFoot model={model} flaw={flaw} />
    </form>
  );
}

function branchFrom(chosen: StepState, draft: Draft, model: Model | undefined): Branch {
  return branchOf(draft, model, chosen, (id) => getStep(id)?.value, loras.value);
}

/** Sends drafts one after the other, as they were pressed: the first creates the session that the next go to. */
function useSending(session: string, onMade: ComposeProps["onMade"]) {
  const last = useRef<Promise<void>>(Promise.resolve());
  const count = useRef(0);
  const home = useRef(session);
  const tell = useRef(onMade);
  tell.current = onMade;
  return (wanted: Draft, model: Model, parent: string | null) => {
    if (count.current >= MOST_SENDING) return toast("Darkroom does not answer yet. Wait before you add more.", { tone: "bad" });
    count.current += 1;
    last.current = last.current.then(async () => {
      const made = await generate(home.current, wanted, model, parent);
      count.current -= 1;
      if (made === null) return;
      const isFirst = home.current === NEW;
      if (isFirst) moveDraft(NEW, made.session);
      home.current = made.session;
      markSent(made.session, made.step, wanted);
      tell.current({ ...made, created: isFirst });
    });
  };
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
