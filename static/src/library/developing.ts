// Places in the grid for photos that are being made.

import { effect, signal } from "@preact/signals";
import type { Item } from "../api/types";
import { hasMade, isLive, type LiveItem, liveItems } from "../state/items";
import type { PhotoFilter } from "../state/photo-filter";
import type { PhotoList } from "../state/photo-list";
import { getPhoto } from "../state/photos";
import { getStep } from "../state/steps";
import { slotId } from "./layout";

/** The place in the grid of a photo that is being made, or waits for its turn. */
export interface Slot {
  id: string;
  live: LiveItem;
  ratio: number;
}

/** A photo that is recorded later than this after its item's end has no place kept. */
const GRACE_MS = 10_000;

/** Of a list: the slots of our own work that will be in it, newest first, and which photo stands in whose place. */
export class Developing {
  readonly slots = signal<readonly Slot[]>([]);
  readonly #stands = new Map<string, string>();
  readonly #timers = new Map<string, ReturnType<typeof setTimeout>>();
  readonly #over = new Set<string>();

  /** At most `most` have a place at once; the others get theirs as these are done. */
  constructor(
    readonly list: PhotoList,
    readonly most: number,
  ) {}

  /** Until the returned function is called. */
  follow(): () => void {
    this.list.hasPlace = (id) => this.slotOf(id) !== null;
    const stop = effect(() => this.#put(liveItems.value, this.list.holding.value));
    return () => {
      stop();
      this.list.hasPlace = () => false;
      for (const timer of this.#timers.values()) clearTimeout(timer);
    };
  }

  /** The slot in whose place this photo stands; null if it never had one. */
  slotOf(id: string): string | null {
    const known = this.#stands.get(id);
    if (known !== undefined) return known;
    const photo = getPhoto(id)?.peek();
    const taken = new Set(this.#stands.values());
    const slot = photo && this.slots.peek().findLast((one) => !taken.has(one.id) && hasMade(one.live, photo));
    if (!slot) return null;
    this.#stands.set(id, slot.id);
    return slot.id;
  }

  /** Slots whose photo is not there yet. */
  open(ids: readonly string[]): Slot[] {
    if (this.slots.value.length === 0) return [];
    const present = new Set(ids.map((id) => this.#stands.get(id)));
    return this.slots.value.filter(({ id }) => !present.has(id));
  }

  #put(live: readonly LiveItem[], holding: boolean): void {
    const before = this.slots.peek();
    const present = new Set(live);
    for (const slot of before) {
      if (isLive(slot.live.item.value) && present.has(slot.live)) this.#goOn(slot.id);
      else this.#end(slot.id);
    }
    const after = holding ? [...before] : before.filter(({ id }) => !this.#over.has(id));
    if (!holding) {
      const known = new Set(before.map(({ id }) => id));
      const waiting = after.filter((slot) => isLive(slot.live.item.peek())).length;
      const next = live
        .filter(({ key, item }) => !known.has(slotId(key)) && willBeIn(this.list.filter, item.value))
        .slice(0, Math.max(0, this.most - waiting));
      for (const one of next) after.unshift({ id: slotId(one.key), live: one, ratio: ratioOf(one.item.peek()) });
    }
    if (after.length !== before.length || after.some((slot, at) => slot !== before[at])) this.slots.value = after;
  }

  /** Its photo may still be recorded; a place that is looked at stays. */
  #end(id: string): void {
    if (this.#timers.has(id)) return;
    const drop = () => {
      this.#over.add(id);
      this.#put(liveItems.peek(), this.list.holding.peek());
    };
    this.#timers.set(id, setTimeout(drop, GRACE_MS));
  }

  /** Its item is live again after a snapshot that lacked it. */
  #goOn(id: string): void {
    clearTimeout(this.#timers.get(id));
    this.#timers.delete(id);
    this.#over.delete(id);
  }
}

/** Will the photo that this item makes be in such a list? Of an item that is not ours the size is not known. */
function willBeIn(filter: PhotoFilter, item: Item): boolean {
  const step = getStep(item.step_id)?.value;
  if (!step?.parameters.width || !step.parameters.height) return false;
  const { trashed, source, session, album, favorite, ratingMin, flags, tag, madeWith, q } = filter;
  return (
    !trashed &&
    !favorite &&
    album === null &&
    ratingMin === null &&
    tag === null &&
    (flags === null || flags.includes("none")) &&
    q === null &&
    (source === null || source === "generated") &&
    (session === null || session === step.session_id) &&
    (madeWith === null || (madeWith.lora === null && madeWith.model?.includes(step.model_key) === true))
  );
}

function ratioOf(item: Item): number {
  const { width, height } = getStep(item.step_id)!.peek().parameters;
  return Math.min(4, Math.max(0.25, width! / height!));
}
