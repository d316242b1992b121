// Generating and canceling.

import { signal } from "@preact/signals";
import { ApiError, answerOf, api } from "../api/client";
import type { Item, Model, NewStep } from "../api/types";
import { toast, toastFailure } from "../lib/toasts";
import { moment } from "../state/freshness";
import { itemKey } from "../state/items";
import { loras } from "../state/models";
import { createSession, dropSession } from "../state/sessions";
import { putStep } from "../state/steps";
import { sessionName } from "./changes";
import { type Draft, randomUuid, toNewStep } from "./draft";
import { NEW } from "./kept-drafts";
import { leftOut } from "./loras";

const of = (id: string) => ({ params: { path: { step_id: id } } });

/** A step that was sent and not answered: the same sent again is the same step. */
let unanswered: { content: string; correlation: string } | null = null;

/** Sends a draft, to a session that it creates if there is none; null after saying why nothing was started. */
export async function generate(
  session: string,
  draft: Draft,
  model: Model,
  parent: string | null,
): Promise<{ session: string; step: string } | null> {
  const wanted = toNewStep(draft, model, parent, loras.peek());
  const content = JSON.stringify([session, wanted]);
  const correlation = unanswered?.content === content ? unanswered.correlation : randomUuid();
  try {
    const made = await send(session, { ...wanted, correlation_id: correlation });
    if (unanswered?.content === content) unanswered = null;
    tellLeftOut(draft, model);
    return made;
  } catch (failure) {
    const status = failure instanceof ApiError ? failure.status : 0;
    if (status === 0 || status >= 500) unanswered = { content, correlation };
    if (status === 404 && session !== NEW) dropSession(session);
    toastFailure("Not started.", failure);
    return null;
  }
}

/** What does not fit the model was left out; its row says why, and may be out of view. */
function tellLeftOut(draft: Draft, model: Model): void {
  const names = leftOut(draft.loras, model, loras.peek());
  if (names.length > 0) toast(`Made without ${new Intl.ListFormat("en").format(names)}: not for this model and its server`);
}

async function send(session: string, step: NewStep): Promise<{ session: string; step: string }> {
  if (session === NEW) return createSession(sessionName(step.prompt), step);
  const asked = moment();
  const made = await answerOf(
    api.POST("/api/v1/sessions/{session_id}/steps", { params: { path: { session_id: session } }, body: step }),
  );
  return { session, step: putStep(made, asked).id };
}

/** What is being canceled: asked for once, however often the button is pressed. */
const canceling = signal<ReadonlySet<string>>(new Set());

export function isCanceling(key: string): boolean {
  return canceling.value.has(key);
}

async function onceAtATime(key: string, cancel: () => Promise<void>): Promise<void> {
  if (canceling.peek().has(key)) return;
  canceling.value = new Set(canceling.peek()).add(key);
  try {
    await cancel();
  } catch (failure) {
    toastFailure("Not canceled.", failure);
  }
  const others = new Set(canceling.peek());
  others.delete(key);
  canceling.value = others;
}

export function cancelStep(id: string): Promise<void> {
  return onceAtATime(id, async () => {
    const asked = moment();
    putStep(await answerOf(api.POST("/api/v1/steps/{step_id}/cancel", of(id))), asked);
  });
}

/** One picture of a step; the others go on. */
export function cancelItem(item: Item): Promise<void> {
  const { backend_id, item_id } = item;
  return onceAtATime(itemKey(item), async () => {
    await api.POST("/api/v1/backends/{backend_id}/items/{item_id}/cancel", { params: { path: { backend_id, item_id } } });
  });
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

/** True once the step is removed. */
export async function removeStep(id: string): Promise<boolean> {
  try {
    await api.DELETE("/api/v1/steps/{step_id}", of(id));
    return true;
  } catch (failure) {
    toastFailure("Not removed.", failure);
    return false;
  }
}
