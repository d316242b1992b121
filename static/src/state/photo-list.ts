// A list of photos that is read page by page and kept up to date by the feed.

import { batch, computed, signal } from "@preact/signals";
import { answerOf, api } from "../api/client";
import type { Photo } from "../api/types";
import { reasonOf } from "../lib/format";
import { albumEvents, type PhotoEvent, photoEvents, resyncEvents } from "./feed-events";
import { moment } from "./freshness";
import { matches, type PhotoFilter, queryOf } from "./photo-filter";
import { getPhoto, putPhoto } from "./photos";

const PAGE = 200;
const BATCH_MS = 150;
const SEARCH_AGAIN_MS = 1_000;
const ORDER_AGAIN_MS = 150;

/** Ids are time-ordered: newest first is descending by id. */
function mergeNewestFirst(ids: readonly string[], fresh: Iterable<string>): readonly string[] {
  const merged = new Set(ids);
  for (const id of fresh) merged.add(id);
  if (merged.size === ids.length) return ids;
  return [...merged].sort((a, b) => (a < b ? 1 : a > b ? -1 : 0));
}

/** These before another one, or last. */
export function rearranged(ids: readonly string[], moved: readonly string[], before: string | null): readonly string[] {
  const present = new Set(ids);
  const wanted = moved.filter((id) => present.has(id));
  const away = new Set(wanted);
  const rest = ids.filter((id) => !away.has(id));
  const at = before === null ? rest.length : rest.indexOf(before);
  return at < 0 ? ids : [...rest.slice(0, at), ...wanted, ...rest.slice(at)];
}

export function sameIds(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((id, index) => id === b[index]);
}

/** A live list of photo ids, newest first or in an album's order, paged by cursor. Close it when nobody looks any more. */
export class PhotoList {
  readonly ids = signal<readonly string[]>([]);
  readonly loading = signal(false);
  readonly loaded = signal(false);
  readonly error = signal<string | null>(null);
  /** While true, newer photos are held back, so that nothing jumps under the reader. */
  readonly holding = signal(false);
  /** What is being done to all that it shows, in words; until then it reads nothing. */
  readonly doing = signal<string | null>(null);
  /** Whether a place is kept for a photo: then it is shown though newer ones are held back. */
  hasPlace: (id: string) => boolean = () => false;
  /** Whether it stands in an album's order, where only the service knows the place of what is new. */
  readonly ordered: boolean;
  /** Those whose place was changed by hand last: the reader does not follow them. */
  moved: ReadonlySet<string> = new Set();
  readonly more = computed(() => this.#cursor.value !== null);
  /** How many newer photos are held back. */
  readonly waiting = computed(() => this.#held.value.length);
  /** Whether some are still shown that the filter does not find any more. */
  readonly hasStale = signal(false);

  readonly #cursor = signal<string | null>(null);
  readonly #held = signal<readonly string[]>([]);
  /** What was marked otherwise while somebody looked closely: it stays where it is until nobody does. */
  #stale = new Set<string>();
  /** The newest one ever shown: only what is newer is held back, not what returns to its place. */
  #newest = "";
  #shown: { ids: readonly string[]; set: ReadonlySet<string> } = { ids: [], set: new Set() };
  readonly #abort = new AbortController();
  readonly #subscriptions: (() => void)[];
  /** What events were about since the list last changed. */
  #news = new Set<string>();
  /** What they were about since a reading began, whose pages may be older. */
  readonly #meanwhile = new Set<string>();
  /** Changes of the order that are not answered yet. */
  readonly #arranging = new Set<{ moved: readonly string[]; before: string | null }>();
  #sending: Promise<unknown> = Promise.resolve();
  #turn: Promise<void> = Promise.resolve();
  /** Readings that are queued, and not yet begun. */
  #readingOn: Promise<void> | undefined;
  #readingAgain: Promise<void> | undefined;
  #settling: ReturnType<typeof setTimeout> | undefined;
  #searching: ReturnType<typeof setTimeout> | undefined;

  constructor(readonly filter: PhotoFilter) {
    this.ordered = filter.order === "position";
    this.#subscriptions = [
      photoEvents.listen((event) => this.#hear(event)),
      resyncEvents.listen(() => void this.reload()),
      albumEvents.listen((id) => id === filter.album && this.ordered && this.#readSoon(ORDER_AGAIN_MS)),
    ];
    void this.loadMore();
  }

  close(): void {
    this.#abort.abort();
    clearTimeout(this.#settling);
    clearTimeout(this.#searching);
    for (const end of this.#subscriptions) end();
  }

  /** Shows what was held back, and lets go of what the filter does not find any more. */
  release(): void {
    this.#newest = this.#held.value[0] ?? this.#newest;
    const stale = this.#stale;
    this.#stale = new Set();
    this.hasStale.value = false;
    if (stale.size > 0 && this.filter.q !== null) void this.reload();
    this.#show(this.#withNews(this.#all(), stale));
  }

  loadMore(): Promise<void> {
    this.#readingOn ??= this.#inTurn(() => {
      this.#readingOn = undefined;
      return this.#readOn();
    });
    return this.#readingOn;
  }

  /** Reads again as far as was read before, then swaps at once. However often it is asked for, only one waits for its turn. */
  reload(): Promise<void> {
    this.#readingAgain ??= this.#inTurn(() => {
      this.#readingAgain = undefined;
      return this.#readAgain();
    });
    return this.#readingAgain;
  }

  /** What changes below what was read is not shown half changed: it is read again when the work is done. */
  during(words: string, work: Promise<unknown>): Promise<void> {
    this.doing.value = words;
    return this.#inTurn(async () => {
      await work.catch(() => undefined);
      this.doing.value = null;
      await this.#readAgain();
    });
  }

  /** Puts photos before another one of an album's order, or last: at once here, and by `work` at the service. */
  arrange(moved: readonly string[], before: string | null, work: () => Promise<unknown>): Promise<void> {
    const one = { moved, before };
    this.moved = new Set(moved);
    this.#arranging.add(one);
    this.#show(this.ids.peek());
    // One after the other, but behind no reading: who leaves now has moved it.
    this.#sending = this.#sending.then(work, work);
    const sent = this.#sending.catch(() => undefined);
    return this.#inTurn(async () => {
      await sent;
      this.#arranging.delete(one);
      await this.#readAgain();
    });
  }

  async #readOn(): Promise<void> {
    if (this.loaded.value && !this.more.value) return;
    do {
      this.#meanwhile.clear();
      const page = await this.#read(this.#cursor.value);
      // Older than what is being done to all: read again after it.
      if (this.doing.peek() !== null) return;
      this.#cursor.value = page.next;
      this.#show(this.#withNews(this.#joined(page.ids), this.#meanwhile));
    } while (this.ids.value.length === 0 && this.more.value);
  }

  async #readAgain(): Promise<void> {
    const oldest = this.ids.value.at(-1);
    const many = this.ids.value.length;
    this.#meanwhile.clear();
    let fresh: string[] = [];
    let after: string | null = null;
    do {
      const page: { ids: string[]; next: string | null } = await this.#read(after);
      fresh = fresh.concat(page.ids);
      after = page.next;
    } while (after !== null && oldest !== undefined && (this.ordered ? fresh.length < many : fresh.every((id) => id > oldest)));
    this.#cursor.value = after;
    const last = after === null ? undefined : fresh.at(-1);
    const stale = [...this.#stale].filter((id) => this.#isIn(id) && (last === undefined || id > last));
    this.#show(this.#withNews(this.ordered ? fresh : mergeNewestFirst(fresh, stale), this.#meanwhile));
  }

  /** With the next page. */
  #joined(page: readonly string[]): readonly string[] {
    return this.ordered ? [...new Set([...this.ids.value, ...page])] : mergeNewestFirst(this.#all(), page);
  }

  #all(): readonly string[] {
    if (this.ordered) return this.ids.value;
    return mergeNewestFirst(this.ids.value, this.#held.value);
  }

  /** Without those that are here no longer, and with those that came, of the ones that were heard of. */
  #withNews(ids: readonly string[], news: ReadonlySet<string>): readonly string[] {
    const present = ids.filter((id) => !news.has(id) || this.#isIn(id));
    if (this.ordered) return present;
    const oldest = this.more.value ? ids.at(-1) : undefined;
    // Older photos than those read so far come with their page, and what a search finds only the service knows.
    const arrived = this.filter.q === null ? [...news].filter((id) => this.#isIn(id) && (oldest === undefined || id > oldest)) : [];
    return mergeNewestFirst(present, arrived);
  }

  #isIn(id: string): boolean {
    const photo = getPhoto(id)?.peek();
    return photo !== undefined && (matches(photo, this.filter) || this.#isStale(photo));
  }

  #isShown(id: string): boolean {
    const ids = this.ids.peek();
    if (this.#shown.ids !== ids) this.#shown = { ids, set: new Set(ids) };
    return this.#shown.set.has(id);
  }

  /** The trash and the library never mix, and an album shows nothing that was taken out of it. */
  #isStale(photo: Photo): boolean {
    const { trashed, album } = this.filter;
    const isOfHere = (photo.deleted_at !== null) === trashed && (album === null || photo.albums.some(({ id }) => id === album));
    return isOfHere && this.#stale.has(photo.id);
  }

  /** All but what is newer than anything shown so far while newer photos are held back; there must be something to look at. */
  #show(all: readonly string[]): void {
    if (this.ordered) {
      const shown = [...this.#arranging].reduce((ids, { moved, before }) => rearranged(ids, moved, before), all);
      if (!sameIds(shown, this.ids.peek())) this.ids.value = shown;
      if (!shown.length && this.more.value) void this.loadMore();
      return;
    }
    const before = new Set(this.ids.peek());
    const isOld = (id: string) => id <= this.#newest || before.has(id) || this.hasPlace(id);
    const held = this.holding.value && all.some(isOld) ? all.filter((id) => !isOld(id)) : [];
    const waits = new Set(held);
    const shown = held.length > 0 ? all.filter((id) => !waits.has(id)) : all;
    batch(() => {
      this.#held.value = held;
      if (!sameIds(shown, this.ids.value)) this.ids.value = shown;
    });
    const newest = shown.find((id) => held.length === 0 || id < held.at(-1)!);
    if (newest !== undefined && newest > this.#newest) this.#newest = newest;
    if (!shown.length && this.more.value) void this.loadMore();
  }

  #hear({ id, byHand }: PhotoEvent): void {
    this.#meanwhile.add(id);
    // Whether a search still finds it, only the service knows.
    const mayLeave = this.filter.q !== null || !this.#isIn(id);
    if (this.holding.peek() && mayLeave && this.#isShown(id)) {
      this.#stale.add(id);
      this.hasStale.value = true;
    }
    if (this.ordered && this.#isIn(id)) return this.ids.peek().includes(id) ? undefined : this.#readSoon(ORDER_AGAIN_MS);
    if (this.filter.q !== null && this.#isIn(id)) return this.#readSoon(SEARCH_AGAIN_MS);
    this.#news.add(id);
    if (byHand) queueMicrotask(() => this.#settle());
    else this.#settling ??= setTimeout(() => this.#settle(), BATCH_MS);
  }

  #readSoon(after: number): void {
    this.#searching ??= setTimeout(() => {
      this.#searching = undefined;
      void this.reload();
    }, after);
  }

  /** Events come in bursts; the list changes once per burst. */
  #settle(): void {
    clearTimeout(this.#settling);
    this.#settling = undefined;
    const news = this.#news;
    this.#news = new Set();
    // Before the first page is here, its reading corrects itself.
    if (news.size && this.loaded.value) this.#show(this.#withNews(this.#all(), news));
  }

  /** One reading at a time, in order: a page must never be put after one that was read later. */
  #inTurn(work: () => Promise<void>): Promise<void> {
    this.#turn = this.#turn.then(() => this.#attempt(work));
    return this.#turn;
  }

  async #attempt(work: () => Promise<void>): Promise<void> {
    if (this.#abort.signal.aborted) return;
    this.loading.value = true;
    this.error.value = null;
    try {
      await work();
      this.loaded.value = true;
    } catch (failure) {
      if (!this.#abort.signal.aborted) this.error.value = reasonOf(failure);
    } finally {
      this.loading.value = false;
    }
  }

  /** How many photos it has from one moment on and before another; null where that cannot be said. */
  async countBetween(from: Date, to: Date, signal: AbortSignal): Promise<number | null> {
    const created = { created_from: from.toISOString(), created_to: new Date(to.getTime() - 1).toISOString() };
    const query = { ...queryOf(this.filter), ...created, limit: 1 };
    const page = await answerOf(api.GET("/api/v1/photos", { params: { query }, signal })).catch(() => null);
    return page?.total ?? null;
  }

  async #read(cursor: string | null): Promise<{ ids: string[]; next: string | null }> {
    const query = { ...queryOf(this.filter), cursor, count: false, limit: PAGE };
    const asked = moment();
    const page = await answerOf(api.GET("/api/v1/photos", { params: { query }, signal: this.#abort.signal }));
    const known = page.items.filter((photo) => putPhoto(photo, asked));
    return { ids: known.map((photo) => photo.id), next: page.next_cursor };
  }
}
