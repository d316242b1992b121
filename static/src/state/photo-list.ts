import { computed, signal } from "@preact/signals";
import { api, reasonOf } from "../api/client";
import type { Photo, PhotoList as Page, PhotoSource } from "../api/types";
import { type PhotoEvent, photoEvents, resyncEvents } from "./feed-events";
import { moment } from "./freshness";
import { getPhoto, putPhoto } from "./photos";

export interface PhotoFilter {
  trashed: boolean;
  source: PhotoSource | null;
  session: string | null;
  favorite: boolean;
  /** Words to search for; only the service can tell what they match. */
  q: string | null;
}

const PAGE = 200;
const BATCH_MS = 150;
const SEARCH_AGAIN_MS = 1_000;

function matches(photo: Photo, filter: PhotoFilter): boolean {
  return (
    (photo.deleted_at !== null) === filter.trashed &&
    (filter.source === null || photo.source === filter.source) &&
    (filter.session === null || photo.session_id === filter.session) &&
    (!filter.favorite || photo.favorite)
  );
}

/** Ids are time-ordered: newest first is descending by id. */
function mergeNewestFirst(ids: readonly string[], fresh: Iterable<string>): readonly string[] {
  const merged = new Set(ids);
  for (const id of fresh) merged.add(id);
  if (merged.size === ids.length) return ids;
  return [...merged].sort((a, b) => (a < b ? 1 : a > b ? -1 : 0));
}

/** A live, newest-first list of photo ids, paged by cursor. Close it when nobody looks any more. */
export class PhotoList {
  readonly ids = signal<readonly string[]>([]);
  readonly loading = signal(false);
  readonly loaded = signal(false);
  readonly error = signal<string | null>(null);
  /** While true, newer photos are held back, so that nothing jumps under the reader. */
  readonly holding = signal(false);
  readonly more = computed(() => this.#cursor.value !== null);
  /** How many newer photos are held back. */
  readonly waiting = computed(() => this.#held.value.size);

  readonly #cursor = signal<string | null>(null);
  readonly #held = signal<ReadonlySet<string>>(new Set());
  readonly #filter: PhotoFilter;
  readonly #abort = new AbortController();
  readonly #subscriptions: (() => void)[];
  /** What events said since the list last changed: true for in, false for out. */
  #news = new Map<string, boolean>();
  /** What they said while a reload was under way, whose pages may be older. */
  readonly #meanwhile = new Map<string, boolean>();
  #turn: Promise<void> = Promise.resolve();
  #settling: ReturnType<typeof setTimeout> | undefined;
  #searching: ReturnType<typeof setTimeout> | undefined;

  constructor(filter: PhotoFilter) {
    this.#filter = filter;
    this.#subscriptions = [photoEvents.listen((event) => this.#hear(event)), resyncEvents.listen(() => void this.reload())];
    void this.loadMore();
  }

  close(): void {
    this.#abort.abort();
    clearTimeout(this.#settling);
    clearTimeout(this.#searching);
    for (const end of this.#subscriptions) end();
  }

  /** Shows what was held back. */
  release(): void {
    this.ids.value = mergeNewestFirst(this.ids.value, this.#held.value);
    this.#held.value = new Set();
  }

  async loadMore(): Promise<void> {
    if (this.loading.value || (this.loaded.value && this.#cursor.value === null)) return;
    await this.#inTurn(async () => {
      const page = await this.#read(this.#cursor.value);
      this.ids.value = mergeNewestFirst(this.ids.value, page.ids);
      this.#cursor.value = page.next;
    });
  }

  /** Reads again as far as was read before, then swaps at once. */
  reload(): Promise<void> {
    return this.#inTurn(async () => {
      const wanted = this.ids.value.length;
      this.#meanwhile.clear();
      let fresh: string[] = [];
      let after: string | null = null;
      do {
        const page: { ids: string[]; next: string | null } = await this.#read(after);
        fresh = fresh.concat(page.ids);
        after = page.next;
      } while (after !== null && fresh.length < wanted);
      this.#cursor.value = after;
      this.#swap(this.#withMeanwhile(fresh, after));
    });
  }

  #withMeanwhile(fresh: readonly string[], after: string | null): readonly string[] {
    const oldest = fresh.at(-1) ?? "";
    const missed = [...this.#meanwhile].filter(([id, isIn]) => isIn && (after === null || id > oldest)).map(([id]) => id);
    const present = fresh.filter((id) => this.#meanwhile.get(id) !== false);
    return this.#filter.q === null ? mergeNewestFirst(present, missed) : present;
  }

  #swap(fresh: readonly string[]): void {
    const newest = this.ids.value[0];
    const above = this.holding.value && newest !== undefined ? fresh.filter((id) => id > newest) : [];
    this.#held.value = new Set(above);
    this.ids.value = fresh.slice(above.length);
  }

  #hear({ kind, id }: PhotoEvent): void {
    const photo = kind === "removed" ? undefined : getPhoto(id)?.peek();
    const isIn = photo !== undefined && matches(photo, this.#filter);
    this.#meanwhile.set(id, isIn);
    if (isIn && this.#filter.q !== null) return this.#searchAgain();
    this.#news.set(id, isIn);
    this.#settling ??= setTimeout(() => this.#settle(), BATCH_MS);
  }

  #searchAgain(): void {
    clearTimeout(this.#searching);
    this.#searching = setTimeout(() => void this.reload(), SEARCH_AGAIN_MS);
  }

  /** Events come in bursts; the list changes once per burst. */
  #settle(): void {
    this.#settling = undefined;
    const news = this.#news;
    this.#news = new Map();
    const stays = (id: string) => news.get(id) !== false;
    if ([...news.values()].includes(false)) {
      this.ids.value = this.ids.value.filter(stays);
      this.#held.value = new Set([...this.#held.value].filter(stays));
    }
    const arrived = [...news].filter(([id, isIn]) => isIn && this.#inReach(id)).map(([id]) => id);
    const newest = this.ids.value[0] ?? "";
    const above = this.holding.value ? arrived.filter((id) => id > newest) : [];
    if (above.length) this.#held.value = new Set([...this.#held.value, ...above]);
    this.ids.value = mergeNewestFirst(this.ids.value, above.length ? arrived.filter((id) => id <= newest) : arrived);
  }

  /** Older photos than those read so far come with their page. */
  #inReach(id: string): boolean {
    const oldest = this.ids.value.at(-1);
    return this.#cursor.value === null || oldest === undefined || id > oldest;
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

  async #read(cursor: string | null): Promise<{ ids: string[]; next: string | null }> {
    const { trashed, source, session, favorite, q } = this.#filter;
    const query = { source, session_id: session, q, trashed: trashed || null, favorite: favorite || null };
    const asked = moment();
    const page = await api.get<Page>("/photos", { ...query, cursor, count: false, limit: PAGE }, this.#abort.signal);
    return { ids: page.items.map((photo) => putPhoto(photo, asked).peek().id), next: page.next_cursor };
  }
}
