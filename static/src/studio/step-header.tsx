import type { Signal } from "@preact/signals";
import { useState } from "preact/hooks";
import { count } from "../app/format";
import { Icon } from "../shell/icon";
import { CircleAlert, RotateCcw } from "../shell/icons";
import { getStep, type StepState } from "../state/steps";
import { stepTitle } from "./changes";
import { retryStep } from "./step-actions";

/** What the chosen step is, where it comes from, and in words what went wrong. */
export function StepHeader({ step, made }: { step: Signal<StepState>; made: number }) {
  const now = step.value;
  const parent = getStep(now.parent_id)?.value;
  const from = parent && stepTitle(parent, getStep(parent.parent_id)?.value);
  return (
    <header class="step-header">
      <div class="step-title">
        <h1 class="ellipsis" title={now.prompt}>
          {stepTitle(now, parent)}
        </h1>
        <p class="small muted ellipsis">
          step {now.position + 1}
          {from && ` · from ${from}`}
          {` · ${stateWords(now, made)}`}
        </p>
      </div>
      <Trouble step={now} made={made} />
    </header>
  );
}

function stateWords(step: StepState, made: number): string {
  switch (step.status) {
    case "pending":
      return "waiting for the server";
    case "processing":
      return `${made} of ${step.batch_size} made`;
    case "completed":
      return count(made, "picture");
    case "failed":
      return "failed";
    case "canceled":
      return "canceled";
  }
}

function Trouble({ step, made }: { step: StepState; made: number }) {
  const [busy, setBusy] = useState(false);
  const ended = step.status === "failed" || step.status === "canceled" || step.status === "completed";
  if (!ended || (step.status === "completed" && step.error_message === null)) return null;
  const retry = async () => {
    setBusy(true);
    await retryStep(step.id);
    setBusy(false);
  };
  const words = step.error_message ?? (step.status === "canceled" ? "Canceled before it was done." : "It failed without a reason.");
  return (
    <div class={`trouble ${step.status}`} role="status" data-testid="step-trouble">
      <Icon of={CircleAlert} />
      <span class="scroll">{words}</span>
      <button type="button" class="button compact" disabled={busy} onClick={() => void retry()}>
        <Icon of={RotateCcw} />
        {made > 0 ? "Make the rest" : "Retry"}
      </button>
    </div>
  );
}
