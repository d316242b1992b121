import { type Signal, signal } from "@preact/signals";
import type { Photo } from "../api/types";
import { clockTime } from "../app/format";
import { toldSince } from "./freshness";
import { isAway } from "./server-alarm";

const photos = new Map<string, Signal<Photo>>();

/**
 * Remembers the newest version of a photo; whoever shows it redraws alone. `asked` is the moment of the request that
 * brought it. False for one that was purged since.
 */
export function putPhoto(photo: Photo, asked = Infinity): boolean {
  const known = photos.get(photo.id);
  if (toldSince(photo.id, asked)) return known !== undefined;
  if (known) known.value = photo;
  else photos.set(photo.id, signal(photo));
  return true;
}

export function getPhoto(id: string): Signal<Photo> | undefined {
  return photos.get(id);
}

export function forgetPhoto(id: string): void {
  photos.delete(id);
}

export function isHome(photo: Photo): boolean {
  return photo.retrieval_status === "completed";
}

/** Nothing more will be tried by itself. */
export function isLost(photo: Photo): boolean {
  return photo.retrieval_status === "gone" || (photo.retrieval_status === "failed" && photo.next_retrieval_attempt === null);
}

/** Its retrieval went wrong, and is tried again by itself. */
export function isTriedAgain(photo: Photo): boolean {
  return (photo.retrieval_status === "pending" || photo.retrieval_status === "retrieving") && photo.retrieval_attempts > 0;
}

/** Given up, but its server may still have it, or have it again. */
export function canRetry(photo: Photo): boolean {
  return photo.backend_id !== null && (photo.retrieval_status === "failed" || photo.retrieval_status === "gone");
}

/** What a reader hears, and what stands under a picture that cannot be shown. */
export function photoName(photo: Photo): string {
  return photo.caption || photo.generation_prompt || photo.filename;
}

/** Why a photo is not here, in words. */
export function lostReason(photo: Photo): string {
  const words =
    photo.retrieval_error ??
    (photo.retrieval_status === "gone" ? "gone from InvokeAI before it came home" : "it did not come home");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

const MOST_SPOKEN = 80;

/** As much of a prompt as tells pictures apart by ear. */
function beginningOf(words: string): string {
  if (words.length <= MOST_SPOKEN) return words;
  const cut = words.slice(0, MOST_SPOKEN + 1);
  return `${cut.slice(0, Math.max(cut.lastIndexOf(" "), MOST_SPOKEN / 2)).replace(/[\s,;.]+$/, "")}…`;
}

/** What tells a picture from all others by ear: those of a batch have the same prompt. */
export function spokenName(photo: Photo): string {
  const seed = photo.seed === null ? null : `seed ${photo.seed}`;
  return [beginningOf(photoName(photo)), seed, clockTime(photo.created_at)].filter(Boolean).join(", ");
}

/** A picture's name, and with it why it cannot be seen. */
export function spokenState(photo: Photo): string {
  if (isLost(photo)) return `${spokenName(photo)}: ${lostReason(photo)}`;
  return !isHome(photo) && isAway(photo.backend_id) ? `${spokenName(photo)}: waiting for the server` : spokenName(photo);
}
