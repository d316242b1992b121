// Captions and file names: what is typed is kept until it is saved.

import { signal } from "@preact/signals";
import { answerOf, api } from "../api/client";
import type { Photo } from "../api/types";
import { reasonOf } from "../lib/format";
import { toast } from "../lib/toasts";
import { inTurn, type Outcome } from "./bulk";
import { photoEvents } from "./feed-events";
import { moment, tell } from "./freshness";
import { beginChange, type Change, endChange, getPhoto, putPhoto } from "./photos";
import { offerUndo } from "./undo";

/** What is typed about a photo. */
export type TextName = "caption" | "filename";

interface Draft {
  text: string;
  /** Why it could not be saved. */
  error: string | null;
}

/** What is typed and not saved yet, also of photos that are not on show any more. */
const drafts = signal<ReadonlyMap<string, Draft>>(new Map());
const saving = new Map<string, string>();
const shown = new Map<string, number>();

const LABELS: Record<TextName, string> = { caption: "Caption", filename: "File name" };

function keyOf(id: string, name: TextName): string {
  return `${name} ${id}`;
}

export function draftOf(id: string, name: TextName): Draft | undefined {
  return drafts.value.get(keyOf(id, name));
}

function setDraft(key: string, draft: Draft | null): void {
  const changed = new Map(drafts.peek());
  if (draft) changed.set(key, draft);
  else changed.delete(key);
  drafts.value = changed;
}

export function typeText(id: string, name: TextName, text: string): void {
  setDraft(keyOf(id, name), { text, error: null });
}

export function dropText(id: string, name: TextName): void {
  setDraft(keyOf(id, name), null);
}

/** The field of a photo's text is on show until the returned function is called; then it is saved. */
export function showText(id: string, name: TextName): () => void {
  const key = keyOf(id, name);
  shown.set(key, (shown.get(key) ?? 0) + 1);
  return () => {
    const others = shown.get(key)! - 1;
    if (others > 0) shown.set(key, others);
    else shown.delete(key);
    void saveText(id, name);
  };
}

/** Saves what was typed, if anything was. What cannot be saved stays, with the reason: at its field, or in a message. */
export async function saveText(id: string, name: TextName): Promise<void> {
  const key = keyOf(id, name);
  const draft = drafts.peek().get(key);
  const photo = getPhoto(id)?.peek();
  if (!draft || !photo || saving.get(key) === draft.text) return;
  const value = draft.text.trim() || null;
  // A file without a name is none: it keeps the one it has.
  if (value === photo[name] || (name === "filename" && value === null)) return setDraft(key, null);
  saving.set(key, draft.text);
  try {
    const outcome = write(id, name, value, photo[name]);
    const label = LABELS[name];
    void offerUndo(
      outcome.catch(() => null),
      () => (value === null ? `${label} removed` : `${label} saved`),
      { kind: "mark" },
    );
    await outcome;
    if (drafts.peek().get(key)?.text === draft.text) setDraft(key, null);
  } catch (failure) {
    const error = wordsOf(reasonOf(failure));
    const now = drafts.peek().get(key);
    if (now) setDraft(key, { ...now, error });
    const action = { label: "Try again", run: () => void saveText(id, name) };
    if (!shown.has(key)) toast(`${LABELS[name]} not saved: “${beginningOf(draft.text)}”. ${error}`, { tone: "bad", action });
  } finally {
    saving.delete(key);
  }
}

async function write(id: string, name: TextName, value: string | null, former: string | null): Promise<Outcome> {
  const change: Change = (photo) => ({ ...photo, [name]: value }) as Photo;
  beginChange(id, change);
  tell(id);
  photoEvents.emit({ id, byHand: true });
  let isDone = false;
  try {
    await inTurn([id], null, () => send(id, name, value));
    isDone = true;
  } finally {
    endChange(id, change, isDone);
    photoEvents.emit({ id, byHand: true });
  }
  return { changed: 1, undo: () => giveBack(id, name, value, former) };
}

async function send(id: string, name: TextName, value: string | null): Promise<void> {
  const params = { path: { photo_id: id } };
  const asked = moment();
  // A page that is closed has still said what was typed.
  putPhoto(await answerOf(api.PATCH("/api/v1/photos/{photo_id}", { params, body: { [name]: value }, keepalive: true })), asked);
}

/** Only where nothing has changed it since. */
async function giveBack(id: string, name: TextName, value: string | null, former: string | null): Promise<number> {
  if (getPhoto(id)?.peek()[name] !== value) return 0;
  await inTurn([id], null, () => send(id, name, former));
  photoEvents.emit({ id, byHand: true });
  return 1;
}

/** The field says which text it is about. */
function wordsOf(reason: string): string {
  const words = reason.replace(/^(caption|filename): /, "");
  return `${words.charAt(0).toUpperCase()}${words.slice(1)}${/[.!?]$/.test(words) ? "" : "."}`;
}

function beginningOf(text: string): string {
  return text.length > 40 ? `${text.slice(0, 40).trimEnd()}…` : text;
}

function saveAll(): void {
  for (const key of drafts.peek().keys()) {
    const [name, id] = key.split(" ") as [TextName, string];
    void saveText(id, name);
  }
}

/** A page that is left or hidden may not come back. */
export function saveTextsWhenLeft(): void {
  window.addEventListener("pagehide", saveAll);
  document.addEventListener("visibilitychange", () => document.visibilityState === "hidden" && saveAll());
}
