import { answerOf, api, within } from "../api/client";
import type { BulkAction, BulkFilter, Photo } from "../api/types";
import { count } from "../app/format";
import { toast, toastFailure } from "../app/toasts";
import { type All, changeMany, type Outcome } from "./bulk";
import { photoEvents, resyncEvents } from "./feed-events";
import { moment, tell, toldSince } from "./freshness";
import { forgetPhoto, getPhoto } from "./photos";
import { offerUndo } from "./undo";

/** A large trash takes its time: each file is deleted. */
const PURGE_TIMEOUT_MS = 10 * 60_000;

/** Every action is on the photos named, or, with `all`, on all of a list; the names are then those that the page has. */
export type Act = (ids: readonly string[], all?: All | null) => Promise<void>;

/** To be seen at once, as if the feed had told it. */
export function showPhoto(id: string, photo: Photo): void {
  const known = getPhoto(id);
  if (!known) return;
  known.value = photo;
  tell(id);
  photoEvents.emit({ id, byHand: true });
}

/** The page shows the change at once; the feed confirms it, or it is taken back where it failed. Null when it did. */
async function change(
  action: BulkAction,
  ids: readonly string[],
  all: All | null,
  after: Partial<Photo>,
  words: { doing: string; failed: string },
): Promise<Outcome | null> {
  const before = ids.map((id) => getPhoto(id)?.peek()).filter((photo) => photo !== undefined);
  const request = changeMany(action, ids, all);
  // Before anything leaves the list, which would read on.
  if (all) void all.list.during(words.doing, request);
  for (const photo of before) showPhoto(photo.id, { ...photo, ...after });
  const asked = moment();
  try {
    return await request;
  } catch (failure) {
    // What failed without an answer may have been done all the same: then the feed has told so.
    for (const photo of before) if (!toldSince(photo.id, asked)) showPhoto(photo.id, photo);
    toastFailure(words.failed, failure);
    return null;
  }
}

export const trashPhotos: Act = (ids, all = null) => {
  const after = { deleted_at: new Date().toISOString() };
  const words = { doing: "Moving to the trash", failed: "Not moved to the trash." };
  return offerUndo(change("trash", ids, all, after, words), (many) => `${count(many, "photo")} moved to the trash`);
};

export const restorePhotos: Act = (ids, all = null) => {
  const words = { doing: "Restoring", failed: "Not restored." };
  return offerUndo(change("restore", ids, all, { deleted_at: null }, words), (many) => `${count(many, "photo")} restored`);
};

/** One heart shows by itself what was done; of many, a message tells. */
export function setFavorite(favorite: boolean, ids: readonly string[], all: All | null = null): Promise<void> {
  const action = favorite ? "favorite" : "unfavorite";
  const words = { doing: "Changing favourites", failed: "Not changed." };
  const done = favorite ? "added to the favourites" : "removed from the favourites";
  const outcome = change(action, ids, all, { favorite }, words);
  return offerUndo(outcome, (many) => (many > 1 ? `${count(many, "photo")} ${done}` : null));
}

/** Makes all of them favourites, or none when all of them are. */
export function toggleFavorite(ids: readonly string[]): void {
  const all = ids.every((id) => getPhoto(id)?.peek().favorite);
  void setFavorite(
    !all,
    ids.filter((id) => getPhoto(id)?.peek().favorite === all),
  );
}

/** What is deleted for good if the owner says so. */
export interface ToPurge {
  ids: readonly string[];
  all: All | null;
  /** Null where nobody knows how many they are. */
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
