// All photos that the page knows.

import { type Signal, signal } from "@preact/signals";
import type { Photo } from "../api/types";
import { clockTime, starsWords } from "../lib/format";
import { toldSince } from "./freshness";
import { isAway } from "./server-alarm";

const photos = new Map<string, Signal<Photo>>();

/** What is done to a photo on this page; done twice, it changes no more than once. */
export type Change = (photo: Photo) => Photo;

/** A photo as the service told of it last, and the changes that are shown on top of it until they are answered. */
interface Unanswered {
  told: Photo;
  changes: { change: Change; isTold: boolean }[];
}

const unanswered = new Map<string, Unanswered>();

/**
 * Remembers the newest version of a photo; only what shows it redraws. `asked` is the moment of the request that
 * brought it. False for one that was purged since.
 */
export function putPhoto(photo: Photo, asked = Infinity): boolean {
  const known = photos.get(photo.id);
  if (toldSince(photo.id, asked)) return known !== undefined;
  const open = unanswered.get(photo.id);
  if (open) {
    open.told = photo;
    // An answer of REST may be older than they are; the feed tells what is newest.
    if (asked === Infinity) for (const one of open.changes) one.isTold = true;
  }
  if (known) known.value = open ? shown(open) : photo;
  else photos.set(photo.id, signal(photo));
  return true;
}

function shown({ told, changes }: Unanswered): Photo {
  return changes.reduce((photo, { change }) => change(photo), told);
}

/** Shows a change at once and on top of what the service tells, until `endChange`. */
export function beginChange(id: string, change: Change): void {
  const known = photos.get(id);
  if (!known) return;
  const open = unanswered.get(id) ?? { told: known.peek(), changes: [] };
  unanswered.set(id, open);
  open.changes.push({ change, isTold: false });
  known.value = change(known.peek());
}

/** It was answered: it is part of the photo, or is taken back. Others that are not answered yet stay on show. */
export function endChange(id: string, change: Change, isDone: boolean): void {
  const open = unanswered.get(id);
  const at = open?.changes.findIndex((one) => one.change === change) ?? -1;
  if (!open || at < 0) return;
  const [ended] = open.changes.splice(at, 1);
  // What the service told since may be newer than the answer.
  if (isDone && !ended!.isTold) open.told = change(open.told);
  if (open.changes.length === 0) unanswered.delete(id);
  const known = photos.get(id);
  if (known) known.value = shown(open);
}

/** All that the page knows. */
export function everyPhoto(): Iterable<Signal<Photo>> {
  return photos.values();
}

export function getPhoto(id: string): Signal<Photo> | undefined {
  return photos.get(id);
}

export function forgetPhoto(id: string): void {
  photos.delete(id);
  unanswered.delete(id);
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

/** A picture's name, its rating and flag, and why it cannot be seen. */
export function spokenState(photo: Photo): string {
  const marks = [
    photo.rating > 0 && starsWords(photo.rating),
    photo.pick === "pick" && "picked",
    photo.pick === "reject" && "rejected",
  ];
  const name = [spokenName(photo), ...marks].filter(Boolean).join(", ");
  if (isLost(photo)) return `${name}: ${lostReason(photo)}`;
  return !isHome(photo) && isAway(photo.backend_id) ? `${name}: waiting for the server` : name;
}
