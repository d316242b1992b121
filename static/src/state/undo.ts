import { count } from "../app/format";
import { dismiss, toast, toastFailure } from "../app/toasts";
import { type Outcome, undoMany } from "./bulk";

interface Undoable {
  /** What undoes it; null where nothing was changed after all. */
  undo: Promise<(() => Promise<void>) | null>;
  /** The message that offers it, if one does. */
  message: number | null;
  /** Of what is changed again and again, only the last message stays. */
  about: string | null;
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
  undone = photosAgain,
): Promise<void> {
  const undo = outcome.then((done) => (done === null || done.undo.length === 0 ? null : () => undoCalls(done.undo, undone)));
  const said = outcome.then((done) => done && words(done.changed));
  await offerToUndo(undo, said);
}

/** As `offerUndo`, of any change. */
export async function offerToUndo(
  undo: Undoable["undo"],
  words: Promise<string | null>,
  about: string | null = null,
): Promise<void> {
  const one: Undoable = { undo, message: null, about };
  undoable.push(one);
  if (undoable.length > MOST) undoable.shift();
  const done = await undo;
  if (done === null) drop(one);
  const text = await words;
  if (text === null) return;
  const action = { label: "Undo", keys: "Ctrl+Z", run: () => void run(one) };
  if (undoable.includes(one)) {
    for (const other of undoable) if (about !== null && other.about === about && other.message !== null) dismiss(other.message);
    one.message = toast(text, { action });
  } else if (done === null) toast(text);
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
  const undo = await one.undo;
  if (one.message !== null) dismiss(one.message);
  await undo?.();
}

async function undoCalls(undo: readonly string[], undone: (changed: number) => string): Promise<void> {
  try {
    toast(undone(await undoMany(undo)));
  } catch (failure) {
    toastFailure("Not undone.", failure);
  }
}
