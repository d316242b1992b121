// Drafts in the browser's storage.

import { BLANK, type Draft } from "./draft";
import { type ModelMemory, NO_MEMORY } from "./model-change";

/** Where a draft comes from. */
export interface Origin {
  /** What was last loaded from a step: while unchanged, choosing another step loads that. */
  loaded: Draft;
  /** The step that the draft was loaded from, or became. */
  step: string | null;
  memory: ModelMemory;
}

interface Stored extends Origin {
  draft: Draft;
}

interface Unsent extends Stored {
  at: number;
}

/** Unsent drafts outlive their tab; the oldest of more than these give way. */
const MOST_UNSENT = 50;
const PREFIX = "darkroom.draft.";

/** A phone reloads pages it had put away, and so does signing in again. What was not sent is kept beyond the tab. */
export function remember(session: string, stored: Stored, unsent: boolean): void {
  try {
    sessionStorage.setItem(PREFIX + session, JSON.stringify(stored));
    if (!unsent) return localStorage.removeItem(PREFIX + session);
    localStorage.setItem(PREFIX + session, JSON.stringify({ ...stored, at: Date.now() } satisfies Unsent));
    dropOldest();
  } catch {
    // Storage is full or forbidden: the draft holds until the page closes.
  }
}

export function recall(session: string): Stored | null {
  try {
    const text = sessionStorage.getItem(PREFIX + session) ?? localStorage.getItem(PREFIX + session);
    const stored = JSON.parse(text ?? "null") as Stored | null;
    if (stored === null) return null;
    const { draft, loaded, step, memory } = stored;
    return { draft: { ...BLANK, ...draft }, loaded: { ...BLANK, ...loaded }, step, memory: memory ?? NO_MEMORY };
  } catch {
    return null;
  }
}

export function forget(session: string): void {
  try {
    sessionStorage.removeItem(PREFIX + session);
    localStorage.removeItem(PREFIX + session);
  } catch {
    // As above.
  }
}

function dropOldest(): void {
  const names = Object.keys(localStorage).filter((name) => name.startsWith(PREFIX));
  if (names.length <= MOST_UNSENT) return;
  const at = (name: string) => (JSON.parse(localStorage.getItem(name)!) as Unsent).at;
  names.sort((one, other) => at(one) - at(other));
  for (const name of names.slice(0, names.length - MOST_UNSENT)) localStorage.removeItem(name);
}
