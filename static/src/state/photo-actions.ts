import { answerOf, api, reasonOf, within } from "../api/client";
import type { BulkFilter, Photo } from "../api/types";
import { count } from "../app/format";
import { toast, toastFailure } from "../app/toasts";
import { photoEvents } from "./feed-events";
import { moment, tell, toldSince } from "./freshness";
import { getPhoto } from "./photos";

const AT_ONCE = 6;
/** A large trash takes its time: each file is deleted. */
const PURGE_TIMEOUT_MS = 10 * 60_000;

const of = (id: string) => ({ params: { path: { photo_id: id } } });

interface Outcome {
  done: string[];
  failed: string[];
  /** What the first refusal said. */
  reason: unknown;
}

/** Runs a request per photo, a few at a time. */
async function each(ids: readonly string[], request: (id: string) => Promise<unknown>): Promise<Outcome> {
  const waiting = [...ids];
  const outcome: Outcome = { done: [], failed: [], reason: null };
  const attempt = async (id: string) => {
    try {
      await request(id);
      outcome.done.push(id);
    } catch (failure) {
      outcome.reason ??= failure;
      outcome.failed.push(id);
    }
  };
  const lane = async () => {
    for (let id = waiting.shift(); id !== undefined; id = waiting.shift()) await attempt(id);
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, ids.length) }, lane));
  return outcome;
}

function mark(ids: readonly string[], change: Partial<Photo>): void {
  for (const id of ids) {
    const photo = getPhoto(id);
    if (!photo) continue;
    photo.value = { ...photo.peek(), ...change };
    tell(id);
    photoEvents.emit({ id, byHand: true });
  }
}

/** The page shows the change at once; the feed confirms it, or it is taken back where it failed. */
async function change(
  ids: readonly string[],
  after: Partial<Photo>,
  before: Partial<Photo>,
  request: (id: string) => Promise<unknown>,
): Promise<Outcome> {
  mark(ids, after);
  const asked = moment();
  const outcome = await each(ids, request);
  // What failed without an answer may have been done all the same: then the feed has told so.
  mark(
    outcome.failed.filter((id) => !toldSince(id, asked)),
    before,
  );
  return outcome;
}

export async function trashPhotos(ids: readonly string[]): Promise<void> {
  const trashed = { deleted_at: new Date().toISOString() };
  const { done, failed, reason } = await change(ids, trashed, { deleted_at: null }, (id) =>
    api.DELETE("/api/v1/photos/{photo_id}", of(id)),
  );
  if (done.length === 0) return toastFailure("Not moved to the trash.", reason);
  const moved = `${count(done.length, "photo")} moved to the trash`;
  const action = { label: "Undo", run: () => void restorePhotos(done) };
  if (failed.length === 0) toast(moved, { action });
  else toast(`${moved}, ${failed.length} not. ${reasonOf(reason)}`, { tone: "bad", action });
}

export async function restorePhotos(ids: readonly string[]): Promise<void> {
  const trashed = { deleted_at: new Date().toISOString() };
  const { done, failed, reason } = await change(ids, { deleted_at: null }, trashed, (id) =>
    api.POST("/api/v1/photos/{photo_id}/restore", of(id)),
  );
  if (done.length === 0) return toastFailure("Not restored.", reason);
  const restored = `${count(done.length, "photo")} restored`;
  if (failed.length === 0) toast(restored);
  else toastFailure(`${restored}, ${failed.length} not.`, reason);
}

async function setFavorite(ids: readonly string[], favorite: boolean): Promise<void> {
  const request = (id: string) => api.PATCH("/api/v1/photos/{photo_id}", { ...of(id), body: { favorite } });
  const { done, failed, reason } = await change(ids, { favorite }, { favorite: !favorite }, request);
  if (failed.length)
    toastFailure(done.length ? `${count(done.length, "photo")} changed, ${failed.length} not.` : "Not changed.", reason);
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
    await api.POST("/api/v1/photos/{photo_id}/retrieval", of(id));
  } catch (failure) {
    toastFailure("Not retried.", failure);
  }
}
