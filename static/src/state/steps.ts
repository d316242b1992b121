// All steps that the page knows.

import { type Signal, signal } from "@preact/signals";
import type { Item, Photo, Step, StepParameters } from "../api/types";
import { toldSince } from "./freshness";
import { itemKey } from "./items";
import { getPhoto, putPhoto } from "./photos";

/** A step whose photos stand in `photos`: here only their ids, in position order. */
export interface StepState extends Omit<Step, "alternatives" | "parameters"> {
  parameters: StepParameters;
  alternatives: readonly string[];
}

const steps = new Map<string, Signal<StepState>>();
const knownCount = signal(0);
const bySession = new Map<string, Signal<readonly string[] | null>>();

/** Read where signals are followed, an unknown step is looked for again when another one becomes known. */
export function getStep(id: string | null | undefined): Signal<StepState> | undefined {
  if (!id) return undefined;
  const step = steps.get(id);
  if (!step) knownCount.value;
  return step;
}

/** The ids of a session's steps, oldest first; null before it was read. */
export function stepsOf(sessionId: string): Signal<readonly string[] | null> {
  let ids = bySession.get(sessionId);
  if (!ids) {
    ids = signal(null);
    bySession.set(sessionId, ids);
  }
  return ids;
}

export function putSessionSteps(sessionId: string, all: readonly Step[], asked: number): void {
  const ids = all.map((step) => putStep(step, asked).id);
  const known = stepsOf(sessionId);
  const begunSince = (known.peek() ?? []).filter((id) => !ids.includes(id) && toldSince(id, asked));
  known.value = [...ids, ...begunSince];
}

/** `asked` is the moment of the request that brought it. */
export function putStep(step: Step, asked = Infinity): StepState {
  const known = steps.get(step.id);
  if (known && toldSince(step.id, asked)) return known.peek();
  const next: StepState = {
    ...step,
    // As this page, or another of the API's clients, sent them: the schema leaves stored JSON open.
    parameters: step.parameters as StepParameters,
    alternatives: step.alternatives.filter((photo) => putPhoto(photo, asked)).map((photo) => photo.id),
  };
  if (known) known.value = next;
  else {
    steps.set(step.id, signal(next));
    knownCount.value = steps.size;
  }
  placeInSession(next);
  return next;
}

function placeInSession(step: StepState): void {
  const ids = stepsOf(step.session_id);
  const known = ids.peek();
  if (known === null) return;
  if (step.deleted_at !== null) ids.value = known.filter((id) => id !== step.id);
  else if (!known.includes(step.id)) ids.value = [...known, step.id];
}

/** A photo recorded between two versions of its step shows at once, at the end. */
export function addAlternative(photo: Photo): void {
  const step = getStep(photo.step_id);
  if (!step || step.peek().alternatives.includes(photo.id)) return;
  step.value = { ...step.peek(), alternatives: [...step.peek().alternatives, photo.id] };
}

export function putStepItem(item: Item): void {
  const step = getStep(item.step_id);
  if (!step) return;
  const key = itemKey(item);
  const items = step.peek().items;
  const known = items.some((one) => itemKey(one) === key && one.batch_id === item.batch_id);
  step.value = {
    ...step.peek(),
    items: known ? items.map((one) => (itemKey(one) === key && one.batch_id === item.batch_id ? item : one)) : [...items, item],
  };
}

export function isStepLive(step: { status: Step["status"] }): boolean {
  return step.status === "pending" || step.status === "processing";
}

/** The photos of a step that were not trashed. */
export function shownAlternatives(step: StepState): string[] {
  return step.alternatives.filter((id) => getPhoto(id)?.value.deleted_at === null);
}
