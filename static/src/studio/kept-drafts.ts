// The drafts of all sessions.

import { effect, type Signal, signal } from "@preact/signals";
import type { Model, Photo } from "../api/types";
import { loras, models } from "../state/models";
import { getPhoto } from "../state/photos";
import type { StepState } from "../state/steps";
import { BLANK, type Draft, findModel, fromStep } from "./draft";
import { changeModel, NO_MEMORY, withModel } from "./model-change";
import { sizeFromSource } from "./source-size";
import { forget, type Origin, recall, remember } from "./stored-drafts";

/** Stands for a session that is not created before its first step. */
export const NEW = "new";

interface Kept {
  /** Stays the same when the session of its draft is created. */
  number: number;
  session: Signal<string>;
  draft: Signal<Draft>;
  origin: Signal<Origin>;
}

const drafts = new Map<string, Kept>();
let count = 0;

function keptOf(session: string): Kept {
  const known = drafts.get(session);
  if (known) return known;
  const latest = [...drafts.values()].at(-1)?.draft.peek();
  const { prompt, negative, seed, source, strength, ownSize } = BLANK;
  const fresh: Draft = latest ? { ...latest, prompt, negative, seed, source, strength, ownSize, loras: [] } : BLANK;
  const { draft, ...origin } = recall(session) ?? { draft: fresh, loaded: fresh, step: null, memory: NO_MEMORY };
  const kept: Kept = { number: ++count, session: signal(session), draft: signal(draft), origin: signal(origin) };
  drafts.set(session, kept);
  effect(() => {
    const stored = { draft: kept.draft.value, ...kept.origin.value };
    remember(kept.session.value, stored, !isSame(stored.draft, stored.loaded));
  });
  return kept;
}

/** A session's draft; it outlives the page that edits it. */
export function draftOf(session: string): Signal<Draft> {
  return keptOf(session).draft;
}

/** The same draft has the same number, also in another session. */
export function draftNumber(session: string): number {
  return keptOf(session).number;
}

/** The session of this draft has been created. */
export function moveDraft(from: string, to: string): void {
  const kept = drafts.get(from);
  if (!kept || drafts.has(to)) return;
  drafts.delete(from);
  forget(from);
  drafts.set(to, kept);
  kept.session.value = to;
}

export function isEdited(session: string): boolean {
  const { draft, origin } = keptOf(session);
  return !isSame(draft.value, origin.value.loaded);
}

function isSame(one: Draft, other: Draft): boolean {
  return (Object.keys(one) as (keyof Draft)[]).every((name) => isSameValue(one[name], other[name]));
}

/** LoRAs are a list. */
function isSameValue(one: Draft[keyof Draft], other: Draft[keyof Draft]): boolean {
  return one === other || (typeof one === "object" && JSON.stringify(one) === JSON.stringify(other));
}

/** This draft was sent and became this step; what was typed since is an edit. */
export function markSent(session: string, step: string, sent: Draft): void {
  const { origin } = keptOf(session);
  origin.value = { ...origin.peek(), loaded: sent, step };
}

/** A step was chosen: an unedited draft follows it, unless it is that step's already. */
export function followStep(session: string, step: StepState): void {
  if (!isEdited(session) && keptOf(session).origin.peek().step !== step.id) loadFromStep(session, step);
}

/** Returns what brings back the draft that was there. */
export function loadFromStep(session: string, step: StepState): () => void {
  return loadDraft(session, fromStep(step, keptOf(session).draft.peek(), loras.peek()), step.id);
}

/** Another draft, which is not an edit. Returns what brings back the one that was there. */
export function loadDraft(session: string, loaded: Draft, step: string | null = null): () => void {
  const { draft, origin } = keptOf(session);
  const before = { draft: draft.peek(), origin: origin.peek() };
  draft.value = loaded;
  origin.value = { loaded, step, memory: NO_MEMORY };
  return () => {
    draft.value = before.draft;
    origin.value = before.origin;
  };
}

/** The step of this draft is removed: its words and numbers count as an edit, so that no other step takes their place. */
export function keepAsEdit(session: string): void {
  const { origin } = keptOf(session);
  origin.value = { ...origin.peek(), loaded: BLANK, step: null };
}

/** The first model a draft gets was not the owner's choice, so it does not count as an edit. */
export function startWithModel(session: string, model: Model): void {
  const { draft, origin } = keptOf(session);
  const untouched = !isEdited(session);
  draft.value = withModel(draft.peek(), model);
  if (untouched) origin.value = { ...origin.peek(), loaded: draft.peek() };
}

/** The owner chose another model. */
export function chooseModel(session: string, from: Model | undefined, to: Model): void {
  const { draft, origin } = keptOf(session);
  const changed = changeModel(draft.peek(), from, to, origin.peek().memory);
  const { source, ownSize } = changed.draft;
  const photo = source === null || ownSize ? undefined : getPhoto(source)?.peek();
  const size = photo && sizeFromSource(photo, to);
  const { given } = changed.memory;
  draft.value = { ...changed.draft, ...size };
  origin.value = { ...origin.peek(), memory: { ...changed.memory, given: given && { ...given, ...size } } };
}

/** The draft makes its pictures from this photo; its size follows the photo's, unless the owner set it. */
export function takeSource(draft: Signal<Draft>, photo: Photo): void {
  const now = draft.peek();
  const model = findModel(models.peek(), now.model);
  draft.value = { ...now, ...(now.ownSize ? {} : sizeFromSource(photo, model)), source: photo.id };
}
