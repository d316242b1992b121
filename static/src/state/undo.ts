// Messages with Undo.

import { count } from "../lib/format";
import { dismiss, toast, toastFailure } from "../lib/toasts";
import type { Outcome } from "./bulk";

interface Undoable {
  /** Null where nothing was changed after all. */
  outcome: Promise<Outcome | null>;
  /** The message that offers it, if one does. */
  message: number | null;
  /** What is said once it is undone; null where that was said already. */
  undone: (changed: number) => string | null;
}

interface Words {
  /** Of one kind only the newest message stands. */
  kind?: string | undefined;
  undone?: Undoable["undone"];
}

const photosAgain = (changed: number) =>
  changed > 0 ? `Undone: ${count(changed, "photo")}` : "Nothing to undo: the photos were changed since";

const MOST = 50;
const undoable: Undoable[] = [];

/**
 * What was done last is undone first, also while it is not yet answered. `words` say what was done, in a message that
 * offers to undo it; null where it shows by itself.
 */
export async function offerUndo(
  outcome: Promise<Outcome | null>,
  words: (changed: number) => string | null,
  { kind, undone = photosAgain }: Words = {},
): Promise<void> {
  const one: Undoable = { outcome, message: null, undone };
  undoable.push(one);
  if (undoable.length > MOST) undoable.shift();
  const done = await outcome;
  if (!done?.undo) drop(one);
  const text = done && words(done.changed);
  if (done === null || text === null) return;
  const action = { label: "Undo", keys: "Ctrl+Z", run: () => void run(one) };
  if (undoable.includes(one)) one.message = toast(text, { action, kind });
  else if (!done.undo) toast(text, { kind });
}

/** False when it is undone already, or cannot be. */
function drop(one: Undoable): boolean {
  const at = undoable.indexOf(one);
  if (at >= 0) undoable.splice(at, 1);
  return at >= 0;
}

export function undoLast(): void {
  const last = undoable.at(-1);
  if (last) void run(last);
}

async function run(one: Undoable): Promise<void> {
  if (!drop(one)) return;
  const outcome = await one.outcome;
  if (one.message !== null) dismiss(one.message);
  if (!outcome?.undo) return;
  try {
    const text = one.undone(await outcome.undo());
    if (text !== null) toast(text);
  } catch (failure) {
    toastFailure("Not undone.", failure);
  }
}
