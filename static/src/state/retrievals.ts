import { signal } from "@preact/signals";
import { api, reasonOf } from "../api/client";
import type { Photo, PhotoList } from "../api/types";
import { photoEvents, resyncEvents } from "./feed-events";
import { moment } from "./freshness";
import { getPhoto, putPhoto } from "./photos";

/** Photos whose retrieval failed, or that InvokeAI no longer has; null before the first answer. */
export const troubled = signal<readonly string[] | null>(null);
export const troubledError = signal<string | null>(null);

function needsALook(photo: Photo): boolean {
  return photo.deleted_at === null && (photo.retrieval_status === "failed" || photo.retrieval_status === "gone");
}

async function load(): Promise<void> {
  try {
    const asked = moment();
    const page = await api.get<PhotoList>("/photos", { status: ["failed", "gone"], count: false, limit: 200 });
    troubled.value = page.items.map((photo) => putPhoto(photo, asked).peek().id);
    troubledError.value = null;
  } catch (failure) {
    troubledError.value = reasonOf(failure);
  }
}

/** Keeps the list live until the returned function is called. */
export function followRetrievals(): () => void {
  void load();
  const stopResync = resyncEvents.listen(() => void load());
  const stopPhotos = photoEvents.listen(({ id, kind }) => {
    const known = troubled.value?.includes(id) ?? false;
    const photo = kind === "removed" ? undefined : getPhoto(id)?.peek();
    const wanted = photo !== undefined && needsALook(photo);
    if (wanted && !known) troubled.value = [id, ...(troubled.value ?? [])];
    if (!wanted && known) troubled.value = troubled.value!.filter((one) => one !== id);
  });
  return () => {
    stopResync();
    stopPhotos();
  };
}
