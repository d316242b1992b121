// Trash, restore, delete for good, and retrieve again.

import { answerOf, api, within } from "../api/client";
import type { BulkAction, BulkFilter, BulkValue } from "../api/types";
import { count } from "../lib/format";
import { toast, toastFailure } from "../lib/toasts";
import { type All, changeMany, inTurn, type Outcome } from "./bulk";
import { photoEvents, resyncEvents } from "./feed-events";
import { tell } from "./freshness";
import { beginChange, type Change, endChange, forgetPhoto, getPhoto } from "./photos";
import { offerUndo } from "./undo";

/** A large trash takes its time: each file is deleted. */
const PURGE_TIMEOUT_MS = 10 * 60_000;

/** Every action is on the photos named, or, with `all`, on all of a list; the names are then those that the page has. */
export type Act = (ids: readonly string[], all?: All | null) => Promise<void>;

/** The list settles it at once. */
function tellPage(id: string): void {
  tell(id);
  photoEvents.emit({ id, byHand: true });
}

interface Wanted {
  action: BulkAction;
  value?: BulkValue;
  /** What it makes of a photo. */
  change: Change;
  words: { doing: string; failed: string };
}

/** The page shows the change at once; the feed confirms it, or it is taken back where it failed. Null when it did. */
export async function changePhotos(
  { action, value, change, words }: Wanted,
  ids: readonly string[],
  all: All | null = null,
): Promise<Outcome | null> {
  const shown = ids.filter((id) => getPhoto(id) !== undefined);
  const request = inTurn(ids, all, () => changeMany(action, ids, all, value));
  // Before anything leaves the list, which would read on.
  if (all) void all.list.during(words.doing, request);
  for (const id of shown) {
    beginChange(id, change);
    tellPage(id);
  }
  const end = (isDone: boolean) => {
    for (const id of shown) endChange(id, change, isDone);
  };
  try {
    const outcome = await request;
    end(true);
    return outcome;
  } catch (failure) {
    end(false);
    for (const id of shown) tellPage(id);
    toastFailure(words.failed, failure);
    return null;
  }
}

export const trashPhotos: Act = (ids, all = null) => {
  const deleted_at = new Date().toISOString();
  const words = { doing: "Moving to the trash", failed: "Not moved to the trash." };
  const outcome = changePhotos({ action: "trash", change: (photo) => ({ ...photo, deleted_at }), words }, ids, all);
  return offerUndo(outcome, (many) => `${count(many, "photo")} moved to the trash`);
};

export const restorePhotos: Act = (ids, all = null) => {
  const words = { doing: "Restoring", failed: "Not restored." };
  const outcome = changePhotos({ action: "restore", change: (photo) => ({ ...photo, deleted_at: null }), words }, ids, all);
  return offerUndo(outcome, (many) => `${count(many, "photo")} restored`);
};

/** What is deleted for good if the owner says so. */
export interface ToPurge {
  ids: readonly string[];
  all: All | null;
  /** Null where their number is not known. */
  many: number | null;
}

export function onlyPhoto(id: string): ToPurge {
  return { ids: [id], all: null, many: 1 };
}

/** For good: the files go. Asked for before. */
export async function purgePhotos({ ids, all }: ToPurge): Promise<void> {
  const before = ids.map((id) => getPhoto(id)?.peek()).filter((photo) => photo !== undefined);
  const request = changeMany("purge", ids, all);
  if (all) void all.list.during("Deleting for good", request);
  for (const { id } of before) {
    tell(id);
    forgetPhoto(id);
    photoEvents.emit({ id, byHand: true });
  }
  try {
    toast(`${count((await request).changed, "photo")} deleted for good`);
  } catch (failure) {
    resyncEvents.emit();
    toastFailure("Not all were deleted.", failure);
  }
}

/** For good: the files go. */
export async function emptyTrash(): Promise<void> {
  try {
    await api.DELETE("/api/v1/photos/trash", { fetch: within(PURGE_TIMEOUT_MS) });
    toast("The trash is empty");
  } catch (failure) {
    toastFailure("The trash was not emptied.", failure);
  }
}
/** All that did not come home, up to the newest that is shown. */
export async function retryAll(newest: string): Promise<void> {
  const filter: BulkFilter = { status: ["pending", "failed", "gone"] };
  try {
    const { changed } = await answerOf(api.POST("/api/v1/photos/bulk", { body: { action: "retry", filter, newest_id: newest } }));
    toast(changed > 0 ? `${count(changed, "photo")} tried again` : "Nothing can be tried again: the server was removed");
  } catch (failure) {
    toastFailure("Not retried.", failure);
  }
}

export async function retryRetrieval(id: string): Promise<void> {
  try {
    await api.POST("/api/v1/photos/{photo_id}/retrieval", { params: { path: { photo_id: id } } });
  } catch (failure) {
    toastFailure("Not retried.", failure);
  }
}
