// Photos whose retrieval went wrong.

import { signal } from "@preact/signals";
import { answerOf, api } from "../api/client";
import type { Photo } from "../api/types";
import { reasonOf } from "../lib/format";
import { photoEvents, resyncEvents } from "./feed-events";
import { moment, toldSince } from "./freshness";
import { getPhoto, isTriedAgain, putPhoto } from "./photos";

const MOST = 200;

/** Photos whose retrieval failed or is being tried again, or that InvokeAI no longer has, newest first; null before the first answer. */
export const troubled = signal<readonly string[] | null>(null);
export const troubledError = signal<string | null>(null);
/** There are older ones than those listed. */
export const moreTroubled = signal(false);

function needsALook(photo: Photo): boolean {
  return (
    photo.deleted_at === null && (photo.retrieval_status === "failed" || photo.retrieval_status === "gone" || isTriedAgain(photo))
  );
}

function isTroubled(id: string): boolean {
  const photo = getPhoto(id)?.peek();
  return photo !== undefined && needsALook(photo);
}

function newestFirst(ids: Iterable<string>): string[] {
  return [...new Set(ids)].sort((a, b) => (a < b ? 1 : -1));
}

async function read(status: Photo["retrieval_status"][]): Promise<{ ids: string[]; more: boolean }> {
  const asked = moment();
  const page = await answerOf(api.GET("/api/v1/photos", { params: { query: { status, count: false, limit: MOST } } }));
  for (const photo of page.items) putPhoto(photo, asked);
  // What happened meanwhile is known by now.
  return { ids: page.items.map((photo) => photo.id).filter(isTroubled), more: page.next_cursor !== null };
}

async function load(): Promise<void> {
  try {
    const asked = moment();
    const [lost, underWay] = await Promise.all([read(["failed", "gone"]), read(["pending", "retrieving"])]);
    const since = (troubled.value ?? []).filter((id) => toldSince(id, asked) && isTroubled(id));
    troubled.value = newestFirst([...since, ...lost.ids, ...underWay.ids]);
    moreTroubled.value = lost.more;
    troubledError.value = null;
  } catch (failure) {
    troubledError.value = reasonOf(failure);
  }
}

/** Keeps the list live until the returned function is called. */
export function followRetrievals(): () => void {
  void load();
  const stopResync = resyncEvents.listen(() => void load());
  const stopPhotos = photoEvents.listen(({ id }) => {
    const known = troubled.value?.includes(id) ?? false;
    if (isTroubled(id) && !known) troubled.value = newestFirst([id, ...(troubled.value ?? [])]);
    if (!isTroubled(id) && known) troubled.value = troubled.value!.filter((one) => one !== id);
  });
  return () => {
    stopResync();
    stopPhotos();
  };
}
