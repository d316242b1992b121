import { signal } from "@preact/signals";
import { ApiError, answerOf, api } from "../api/client";
import type { Model } from "../api/types";
import { toast, toastFailure } from "../app/toasts";
import { moment } from "../state/freshness";
import { dropSession } from "../state/sessions";
import { putStep, type StepState } from "../state/steps";
import { type Draft, toNewStep } from "./draft";

const SETTLE_MS = 600;
const of = (id: string) => ({ params: { path: { step_id: id } } });

/** A step was begun here a moment ago: Cancel stands where Generate stood, and a click may still be meant for that. */
const justBegun = signal(false);

function settle(): void {
  justBegun.value = true;
  setTimeout(() => (justBegun.value = false), SETTLE_MS);
}

/** Sends a draft; resolves with the new step's id, or null after saying why not. */
export async function generate(session: string, draft: Draft, model: Model, parent: string | null): Promise<string | null> {
  const asked = moment();
  try {
    const step = await answerOf(
      api.POST("/api/v1/sessions/{session_id}/steps", {
        params: { path: { session_id: session } },
        body: toNewStep(draft, model, parent),
      }),
    );
    settle();
    return putStep(step, asked).id;
  } catch (failure) {
    if (failure instanceof ApiError && failure.status === 404) dropSession(session);
    toastFailure("Not started.", failure);
    return null;
  }
}

export function canCancel(step: StepState): boolean {
  return step.cancel_requested_at === null && !justBegun.value;
}

/** Cancels, unless the click is the rest of a double click. */
export function cancelByClick(event: MouseEvent, step: StepState): void {
  if (event.detail <= 1 && canCancel(step)) void cancelStep(step.id);
}

async function cancelStep(id: string): Promise<void> {
  const asked = moment();
  try {
    putStep(await answerOf(api.POST("/api/v1/steps/{step_id}/cancel", of(id))), asked);
  } catch (failure) {
    toastFailure("Not canceled.", failure);
  }
}

/** Makes what is missing. */
export async function retryStep(id: string): Promise<void> {
  const asked = moment();
  try {
    putStep(await answerOf(api.POST("/api/v1/steps/{step_id}/retry", of(id))), asked);
    toast("Making what is missing");
  } catch (failure) {
    toastFailure("Not retried.", failure);
  }
}
