// Queue items that have not ended, and those that ended a moment ago.

import { computed, type Signal, signal } from "@preact/signals";
import type { Backend, Item, Photo, Progress } from "../api/types";
import type { ItemProgress } from "../feed/messages";
import { followPreview, forgetPreview, previewOf } from "./previews";

/** A queue item that has not ended. Progress stands apart from the rest: a frame redraws one tile. */
export interface LiveItem {
  key: string;
  item: Signal<Item>;
  progress: Signal<Progress | null>;
}

const LIVE: ReadonlySet<string> = new Set(["pending", "in_progress", "waiting"]);
const KEPT_AFTER_END = 64;

const items = new Map<string, LiveItem>();
const present = signal<readonly LiveItem[]>([]);

/** Those that the page shows in the place where their photos will be. */
export const shownInPlace = signal<ReadonlySet<string>>(new Set());
/** How many seconds the last item took that a server completed. */
const lastTook = new Map<string, number>();

export function secondsOfLast(backendId: string): number | null {
  return lastTook.get(backendId) ?? null;
}

/** Items that ended a moment ago: which photo an item made may be told after its end. */
const ended = new Map<string, LiveItem>();

export function itemKey(item: { backend_id: string; item_id: number }): string {
  return `${item.backend_id}/${item.item_id}`;
}

export function isLive(item: Item): boolean {
  return LIVE.has(item.status);
}

export function getItem(key: string): LiveItem | undefined {
  return items.get(key);
}

/** The snapshot of the feed: an item that it lacks has ended. */
export function replaceItems(snapshot: readonly Item[]): void {
  const known = new Set(snapshot.map(itemKey));
  for (const key of items.keys()) if (!known.has(key)) end(key);
  for (const item of snapshot) {
    put(item);
    const known = items.get(itemKey(item));
    if (known) known.progress.value = item.progress && furthest(known.progress.peek(), item.progress);
  }
  present.value = [...items.values()];
}

export function putItem(item: Item): void {
  const before = items.size;
  put(item);
  if (items.size !== before) present.value = [...items.values()];
}

function put(item: Item): void {
  const key = itemKey(item);
  const known = items.get(key) ?? ended.get(key);
  if (known) known.item.value = item;
  if (isLive(item) && !items.has(key)) {
    items.set(key, known ?? { key, item: signal(item), progress: signal(item.progress) });
    ended.delete(key);
  }
  if (item.progress?.preview_url) followPreview(key, item.progress.preview_url);
  if (isLive(item)) return;
  if (item.status === "completed" && item.started_at !== null && item.completed_at !== null) {
    lastTook.set(item.backend_id, (Date.parse(item.completed_at) - Date.parse(item.started_at)) / 1000);
  }
  end(key);
}

function end(key: string): void {
  const known = items.get(key);
  if (!known) return;
  items.delete(key);
  forgetPreview(key);
  ended.set(key, known);
  for (const old of [...ended.keys()].slice(0, Math.max(0, ended.size - KEPT_AFTER_END))) ended.delete(old);
}

export function putProgress(message: ItemProgress): void {
  const known = items.get(itemKey(message));
  if (!known) return;
  known.progress.value = furthest(known.progress.peek(), message);
  if (!message.preview_url) return;
  // The last frame is about to be the picture itself, and gone from the server: worth asking for only if it is the first.
  if (message.percentage !== 1 || previewOf(known.key).peek() === null) followPreview(known.key, message.preview_url);
}

/** InvokeAI names no portion for what it does after the steps: the picture is as far as it was. A smaller one begins a new stretch. */
export function furthest<P extends Pick<Progress, "percentage" | "message">>(before: P | null, now: P): P {
  return now.percentage === null && before?.percentage != null ? { ...now, percentage: before.percentage } : now;
}

/** How far an item is, in words: "40 %", "100 %, finishing", or what InvokeAI says it does. */
export function progressWords(progress: Progress | null): string {
  if (progress === null || progress.percentage === null) return progress?.message || "Starting";
  return progress.percentage >= 1 ? "100 %, finishing" : `${Math.round(progress.percentage * 100)} %`;
}

/** Live items in the order they run. */
export const liveItems = computed(() =>
  [...present.value].sort((a, b) => turn(a.item.value) - turn(b.item.value) || a.item.value.item_id - b.item.value.item_id),
);

/** How many run on a server, and how many wait there: ours as we know them, others' as InvokeAI last counted them. */
export function queueOn({ id, queue }: Backend): { running: number; queued: number } {
  const own = liveItems.value.filter(({ item: { value: item } }) => item.backend_id === id && item.step_id !== null).length;
  const others = Math.max(0, queue.pending + queue.in_progress - queue.ours);
  const running = Math.min(queue.in_progress, own + others);
  return { running, queued: own + others - running };
}

export const runningItems = computed(() => present.value.filter((live) => live.item.value.status === "in_progress"));

function turn(item: Item): number {
  return item.status === "in_progress" ? 0 : 1;
}

/** The item that made a photo, live or ended a moment ago; its last preview stands in until the photo is home. */
export function itemOfPhoto(photo: Photo): string | undefined {
  return [...items.values(), ...ended.values()].find((live) => hasMade(live, photo))?.key;
}

/** Whether an item made a photo: the service tells it of each item. */
export function hasMade({ key, item }: LiveItem, photo: Photo): boolean {
  const { backend_id, step_id, started_at, photo_ids } = item.peek();
  if (photo_ids.includes(photo.id)) return true;
  // It ended while the feed was away, and its last version here is of before: InvokeAI stamps photos and items by one clock.
  const isUnheard = ended.has(key) && isLive(item.peek());
  const isAfterStart = started_at !== null && Date.parse(started_at) <= Date.parse(photo.created_at);
  return isUnheard && isAfterStart && backend_id === photo.backend_id && step_id === photo.step_id;
}
