import { api } from "../api/client";
import { count } from "../app/format";
import { toast, toastFailure } from "../app/toasts";
import { photoEvents } from "./feed-events";
import { getPhoto } from "./photos";

const AT_ONCE = 6;

/** Runs a request per photo, a few at a time; rejects with the first failure after all were tried. */
async function each(ids: readonly string[], request: (id: string) => Promise<unknown>): Promise<void> {
  const waiting = [...ids];
  const failures: unknown[] = [];
  const lane = async () => {
    for (let id = waiting.shift(); id !== undefined; id = waiting.shift()) await request(id).catch((failure: unknown) => failures.push(failure));
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, ids.length) }, lane));
  if (failures.length) throw failures[0];
}

/** The page shows the change at once; the feed confirms it, or it is taken back. */
function markTrashed(ids: readonly string[], deletedAt: string | null): void {
  for (const id of ids) {
    const photo = getPhoto(id);
    if (!photo) continue;
    photo.value = { ...photo.peek(), deleted_at: deletedAt };
    photoEvents.emit({ kind: "updated", id });
  }
}

export async function trashPhotos(ids: readonly string[]): Promise<void> {
  markTrashed(ids, new Date().toISOString());
  try {
    await each(ids, (id) => api.delete(`/photos/${id}`));
    toast(`${count(ids.length, "photo")} moved to the trash`, { action: { label: "Undo", run: () => void restorePhotos(ids) } });
  } catch (failure) {
    markTrashed(ids, null);
    toastFailure("Not moved to the trash.", failure);
  }
}

export async function restorePhotos(ids: readonly string[]): Promise<void> {
  const before = new Date().toISOString();
  markTrashed(ids, null);
  try {
    await each(ids, (id) => api.post(`/photos/${id}/restore`));
    toast(`${count(ids.length, "photo")} restored`);
  } catch (failure) {
    markTrashed(ids, before);
    toastFailure("Not restored.", failure);
  }
}

/** Shown at once, and taken back where the service refuses. */
async function setFavorite(ids: readonly string[], favorite: boolean): Promise<void> {
  const mark = (id: string, value: boolean) => {
    const photo = getPhoto(id);
    if (!photo) return;
    photo.value = { ...photo.peek(), favorite: value };
    photoEvents.emit({ kind: "updated", id });
  };
  for (const id of ids) mark(id, favorite);
  try {
    await each(ids, (id) => api.patch(`/photos/${id}`, { favorite }));
  } catch (failure) {
    for (const id of ids) mark(id, !favorite);
    toastFailure("Not changed.", failure);
  }
}

/** Makes all of them favourites, or none when all of them are. */
export function toggleFavorite(ids: readonly string[]): void {
  const all = ids.every((id) => getPhoto(id)?.peek().favorite);
  const changed = ids.filter((id) => getPhoto(id)?.peek().favorite === all);
  void setFavorite(changed, !all);
}

/** For good: the files go. */
export async function purgeTrash(): Promise<void> {
  try {
    await api.delete("/photos/trash");
    toast("The trash is empty");
  } catch (failure) {
    toastFailure("The trash was not emptied.", failure);
  }
}

export async function retryRetrieval(id: string): Promise<void> {
  try {
    await api.post(`/photos/${id}/retrieval`);
  } catch (failure) {
    toastFailure("Not retried.", failure);
  }
}
