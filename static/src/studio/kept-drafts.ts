import { effect, type Signal, signal } from "@preact/signals";
import type { Model } from "../api/types";
import type { StepState } from "../state/steps";
import { BLANK, type Draft, fromStep, withModel } from "./draft";

interface Kept {
  draft: Signal<Draft>;
  origin: Signal<Origin>;
}

interface Origin {
  /** What was last loaded from a step: while unchanged, choosing another step loads that. */
  loaded: Draft;
  /** The step that the draft was loaded from, or became. */
  step: string | null;
}

const drafts = new Map<string, Kept>();

function keptOf(session: string): Kept {
  const known = drafts.get(session);
  if (known) return known;
  const latest = [...drafts.values()].at(-1)?.draft.peek();
  const fresh: Draft = latest ? { ...latest, prompt: "", negative: "", seed: null } : BLANK;
  const { draft, loaded, step } = recall(session) ?? { draft: fresh, loaded: fresh, step: null };
  const kept = { draft: signal(draft), origin: signal({ loaded, step }) };
  drafts.set(session, kept);
  effect(() => remember(session, { draft: kept.draft.value, ...kept.origin.value }));
  return kept;
}

interface Stored extends Origin {
  draft: Draft;
}

function storedName(session: string): string {
  return `darkroom.draft.${session}`;
}

/** A phone reloads pages it had put away, and so does signing in again. */
function remember(session: string, stored: Stored): void {
  try {
    sessionStorage.setItem(storedName(session), JSON.stringify(stored));
  } catch {
    // Storage is full or forbidden: the draft holds until the page closes.
  }
}

function recall(session: string): Stored | null {
  try {
    const stored = JSON.parse(sessionStorage.getItem(storedName(session)) ?? "null") as Stored | null;
    return stored && { ...stored, draft: { ...BLANK, ...stored.draft } };
  } catch {
    return null;
  }
}

/** A session's draft; it outlives the page that edits it. */
export function draftOf(session: string): Signal<Draft> {
  return keptOf(session).draft;
}

export function isEdited(session: string): boolean {
  const { draft, origin } = keptOf(session);
  return !isSame(draft.value, origin.value.loaded);
}

function isSame(one: Draft, other: Draft): boolean {
  return (Object.keys(one) as (keyof Draft)[]).every((name) => one[name] === other[name]);
}

/** This draft was sent and became this step; what was typed since is an edit. */
export function markSent(session: string, step: string, sent: Draft): void {
  keptOf(session).origin.value = { loaded: sent, step };
}

/** A step was chosen: an unedited draft follows it, unless it is that step's already. */
export function followStep(session: string, step: StepState): void {
  if (!isEdited(session) && keptOf(session).origin.peek().step !== step.id) loadFromStep(session, step);
}

export function loadFromStep(session: string, step: StepState): void {
  const { draft, origin } = keptOf(session);
  draft.value = fromStep(step, draft.peek());
  origin.value = { loaded: draft.peek(), step: step.id };
}

/** The first model a draft gets was not the owner's choice, so it does not count as an edit. */
export function startWithModel(session: string, model: Model): void {
  const { draft, origin } = keptOf(session);
  const untouched = !isEdited(session);
  draft.value = withModel(draft.peek(), model);
  if (untouched) origin.value = { ...origin.peek(), loaded: draft.peek() };
}
