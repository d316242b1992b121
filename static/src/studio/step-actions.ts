import { signal } from "@preact/signals";
import { api, ApiError } from "../api/client";
import type { Model, Step } from "../api/types";
import { toast, toastFailure } from "../app/toasts";
import { moment } from "../state/freshness";
import { dropSession } from "../state/sessions";
import { putStep, type StepState } from "../state/steps";
import { type Draft, toNewStep } from "./draft";

const SETTLE_MS = 600;

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
    const step = await api.post<Step>(`/sessions/${session}/steps`, toNewStep(draft, model, parent));
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
    putStep(await api.post<Step>(`/steps/${id}/cancel`), asked);
  } catch (failure) {
    toastFailure("Not canceled.", failure);
  }
}

/** Makes what is missing. */
export async function retryStep(id: string): Promise<void> {
  const asked = moment();
  try {
    putStep(await api.post<Step>(`/steps/${id}/retry`), asked);
    toast("Making what is missing");
  } catch (failure) {
    toastFailure("Not retried.", failure);
  }
}
