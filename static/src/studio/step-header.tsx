import type { Signal } from "@preact/signals";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { Icon } from "../components/icon";
import { CircleAlert, RotateCcw, Trash2 } from "../components/icons";
import { count, duration } from "../lib/format";
import { backendName } from "../state/backends";
import { podWaitAt, uncapitalised } from "../state/pods";
import { getStep, isStepLive, type StepState, stepsOf } from "../state/steps";
import { secondsLeftOfStep } from "../state/time-left";
import { isRepeated, stepTitle } from "./changes";
import { cancelStep, isCanceling, retryStep } from "./step-actions";
import { StepSource } from "./step-source";

interface StepHeaderProps {
  step: Signal<StepState>;
  made: number;
  address: { addressOf: (photo: string) => string; open: (photo: string) => void };
  /** Takes the step out of the tree; null where it cannot be taken out. */
  onRemove: (() => Promise<void>) | null;
}

/** What the chosen step is, where it comes from, and in words what went wrong. */
export function StepHeader({ step, made, address, onRemove }: StepHeaderProps) {
  const now = step.value;
  const title = useRef<HTMLHeadingElement>(null);
  const parent = getStep(now.parent_id)?.value;
  const from = parent && stepTitle(parent, getStep(parent.parent_id)?.value);
  const steps = (stepsOf(now.session_id).value ?? []).flatMap((id) => getStep(id)?.value ?? []);
  const live = isStepLive(now);
  return (
    <header class="step-header">
      <div class={`step-title ${now.source_photo_id === null ? "" : "from-source"}`}>
        <h1 class="ellipsis" title={now.prompt} ref={title} tabIndex={-1}>
          {stepTitle(now, parent)}
        </h1>
        <p class="small muted ellipsis">
          {`step ${now.position + 1} · ${stateWords(now, made, podWaitAt(now.backend_id))}`}
          {live && <TimeLeft step={now.id} />}
          {isRepeated(now, steps) && " · other seed"}
          {from && ` · from ${from}`}
        </p>
      </div>
      {/* Its place stays empty when the work has ended: what stood there must not be something else under the pointer. */}
      <div class="cancel-place">{live && <Cancel step={now} onGone={() => title.current?.focus()} />}</div>
      <StepSource step={now} addressOf={address.addressOf} onOpen={address.open} />
      <Trouble step={now} made={made} onRemove={onRemove} />
    </header>
  );
}

/** Only this redraws when a progress frame comes. */
function TimeLeft({ step }: { step: string }) {
  const left = secondsLeftOfStep(step);
  return left === null ? null : <> · about {duration(left)} left</>;
}

/** Cancels the whole step. `onGone`: it has gone while it had the focus. */
function Cancel({ step, onGone }: { step: StepState; onGone: () => void }) {
  const button = useRef<HTMLButtonElement>(null);
  const asked = step.cancel_requested_at !== null || isCanceling(step.id);
  useLayoutEffect(
    () => () => {
      if (document.activeElement === button.current) onGone();
    },
    [],
  );
  return (
    <button
      type="button"
      class="button compact"
      ref={button}
      aria-disabled={asked}
      onClick={() => {
        if (!asked) void cancelStep(step.id);
      }}
      data-testid="cancel"
    >
      {asked ? "Canceling…" : "Cancel"}
    </button>
  );
}

/** `wait`: why its pod does not make it yet. */
function stateWords(step: StepState, made: number, wait: string | null): string {
  switch (step.status) {
    case "pending":
      return wait === null ? waitingWords(step) : uncapitalised(wait);
    case "processing":
      return `${made} of ${step.batch_size} made${wait === null ? "" : ` · ${uncapitalised(wait)}`}`;
    case "completed":
      return count(made, "picture");
    case "failed":
      return "failed";
    case "canceled":
      return "canceled";
  }
}

function waitingWords({ waiting_for, backend_id }: StepState): string {
  if (waiting_for === null) return "waiting for the server";
  const server = backend_id === null ? "the server" : backendName(backend_id);
  return waiting_for === "source_upload"
    ? `waiting for its source: being sent to ${server}`
    : "waiting for its source: its file is not here yet";
}

/** What a step that failed says, with what can be done about it. */
function troubleWords(step: StepState): string {
  const words = step.error_message ?? (step.status === "canceled" ? "Canceled before it was done." : "It failed without a reason.");
  if (!/out of memory|outofmemory/i.test(words)) return words;
  return `${words.replace(/[.\s]*$/, ".")} Try a smaller size: the graphics card has too little memory for this one.`;
}

function Trouble({ step, made, onRemove }: { step: StepState; made: number; onRemove: (() => Promise<void>) | null }) {
  const [busy, setBusy] = useState(false);
  if (isStepLive(step) || (step.status === "completed" && step.error_message === null)) return null;
  const act = async (action: Promise<void>) => {
    setBusy(true);
    await action;
    setBusy(false);
  };
  return (
    <div class={`trouble ${step.status}`} role="status" data-testid="step-trouble">
      <Icon of={CircleAlert} />
      <span class="scroll">{troubleWords(step)}</span>
      <span class="trouble-actions">
        <button type="button" class="button compact" disabled={busy} onClick={() => void act(retryStep(step.id))}>
          <Icon of={RotateCcw} />
          {made > 0 ? "Make the rest" : "Retry"}
        </button>
        {onRemove && (
          <button type="button" class="button compact quiet" disabled={busy} onClick={() => void act(onRemove())}>
            <Icon of={Trash2} />
            Remove
          </button>
        )}
      </span>
    </div>
  );
}
