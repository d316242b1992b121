import { api } from "../api/client";
import type { Model, Step } from "../api/types";
import { toast, toastFailure } from "../app/toasts";
import { moment } from "../state/freshness";
import { putStep } from "../state/steps";
import { type Draft, toNewStep } from "./draft";

/** Sends a draft; resolves with the new step's id, or null after saying why not. */
export async function generate(session: string, draft: Draft, model: Model, parent: string | null): Promise<string | null> {
  const asked = moment();
  try {
    return putStep(await api.post<Step>(`/sessions/${session}/steps`, toNewStep(draft, model, parent)), asked).id;
  } catch (failure) {
    toastFailure("Not started.", failure);
    return null;
  }
}

export async function cancelStep(id: string): Promise<void> {
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
