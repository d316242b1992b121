import { computed, signal, type ReadonlySignal, type Signal } from "@preact/signals";
import { api, reasonOf } from "../api/client";
import type { Photo, PhotoList as Page, PhotoSource } from "../api/types";
import { photoEvents, resyncEvents } from "./feed-events";
import { getPhoto, putPhoto } from "./photos";

export interface PhotoFilter {
  trashed: boolean;
  source: PhotoSource | null;
  session: string | null;
  favorite: boolean;
  /** Words to search for; only the service can tell what they match. */
  q: string | null;
}

/** A live, newest-first list of photo ids, paged by cursor. */
export interface PhotoList {
  ids: ReadonlySignal<readonly string[]>;
  /** Newer photos held back so that nothing jumps under the reader. */
  waiting: ReadonlySignal<number>;
  loading: ReadonlySignal<boolean>;
  loaded: ReadonlySignal<boolean>;
  error: ReadonlySignal<string | null>;
  more: ReadonlySignal<boolean>;
  /** While true, newer photos are held back. */
  holding: Signal<boolean>;
  loadMore: () => Promise<void>;
  reload: () => Promise<void>;
  release: () => void;
  close: () => void;
}

const PAGE = 200;
const BATCH_MS = 150;
const SEARCH_AGAIN_MS = 1_000;

export function matches(photo: Photo, filter: PhotoFilter): boolean {
  return (
    (photo.deleted_at !== null) === filter.trashed &&
    (filter.source === null || photo.source === filter.source) &&
    (filter.session === null || photo.session_id === filter.session) &&
    (!filter.favorite || photo.favorite)
  );
}

/** Ids are time-ordered: newest first is descending by id. */
export function mergeNewestFirst(ids: readonly string[], fresh: Iterable<string>): readonly string[] {
  const merged = new Set(ids);
  for (const id of fresh) merged.add(id);
  if (merged.size === ids.length) return ids;
  return [...merged].sort((a, b) => (a < b ? 1 : a > b ? -1 : 0));
}

export function openPhotoList(filter: PhotoFilter): PhotoList {
  const ids = signal<readonly string[]>([]);
  const held = signal<ReadonlySet<string>>(new Set());
  const loading = signal(false);
  const loaded = signal(false);
  const error = signal<string | null>(null);
  const cursor = signal<string | null>(null);
  const holding = signal(false);
  const abort = new AbortController();
  let arrived = new Set<string>();
  let left = new Set<string>();
  /** What events said while a reload was under way: its pages may be older. */
  const meanwhile = new Map<string, "in" | "out">();
  let timer: ReturnType<typeof setTimeout> | undefined;

  const fetchPage = (after: string | null) =>
    api.get<Page>(
      "/photos",
      {
        cursor: after,
        count: false,
        limit: PAGE,
        trashed: filter.trashed || null,
        source: filter.source,
        session_id: filter.session,
        favorite: filter.favorite || null,
        q: filter.q,
      },
      abort.signal,
    );

  /** Events come in bursts; the list changes once per burst. */
  const settle = () => {
    timer = undefined;
    if (left.size) {
      const gone = left;
      left = new Set();
      ids.value = ids.value.filter((id) => !gone.has(id));
      held.value = new Set([...held.value].filter((id) => !gone.has(id)));
    }
    if (arrived.size) {
      const fresh = arrived;
      arrived = new Set();
      const newest = ids.value[0] ?? "";
      const above = [...fresh].filter((id) => id > newest);
      const within = [...fresh].filter((id) => id <= newest);
      ids.value = mergeNewestFirst(ids.value, holding.value ? within : fresh);
      if (holding.value && above.length) held.value = new Set([...held.value, ...above]);
    }
  };

  let searching: ReturnType<typeof setTimeout> | undefined;
  const searchAgain = () => {
    clearTimeout(searching);
    searching = setTimeout(() => void reload(), SEARCH_AGAIN_MS);
  };

  const inReach = (id: string) => cursor.value === null || ids.value.length === 0 || id > ids.value[ids.value.length - 1]!;

  const stopPhotos = photoEvents.listen((event) => {
    const photo = event.kind === "removed" ? undefined : getPhoto(event.id)?.peek();
    if (photo && matches(photo, filter)) {
      left.delete(event.id);
      meanwhile.set(event.id, "in");
      if (filter.q !== null) return searchAgain();
      if (inReach(event.id)) arrived.add(event.id);
    } else {
      arrived.delete(event.id);
      left.add(event.id);
      meanwhile.set(event.id, "out");
    }
    timer ??= setTimeout(settle, BATCH_MS);
  });

  async function attempt(work: () => Promise<void>): Promise<void> {
    loading.value = true;
    error.value = null;
    try {
      await work();
      loaded.value = true;
    } catch (failure) {
      if (!abort.signal.aborted) error.value = reasonOf(failure);
    } finally {
      loading.value = false;
    }
  }

  /** One request at a time, in order: a page must never be put after one that was read later. */
  let last = Promise.resolve();
  const inTurn = (work: () => Promise<void>) => (last = last.then(() => (abort.signal.aborted ? undefined : attempt(work))));

  const loadMore = async () => {
    if (loading.value || (loaded.value && cursor.value === null)) return;
    await inTurn(async () => {
      const page = await fetchPage(cursor.value);
      ids.value = mergeNewestFirst(ids.value, page.items.map((photo) => putPhoto(photo).peek().id));
      cursor.value = page.next_cursor;
    });
  };

  /** Reads again as far as was read before, then swaps at once. */
  const reload = () =>
    inTurn(async () => {
      const wanted = ids.value.length;
      let fresh: string[] = [];
      let after: string | null = null;
      meanwhile.clear();
      do {
        const page: Page = await fetchPage(after);
        for (const photo of page.items) fresh.push(putPhoto(photo).peek().id);
        after = page.next_cursor;
      } while (after !== null && fresh.length < wanted);
      cursor.value = after;
      fresh = fresh.filter((id) => meanwhile.get(id) !== "out");
      const oldest = fresh.at(-1);
      const missed = [...meanwhile].filter(([id, way]) => way === "in" && (after === null || id > (oldest ?? ""))).map(([id]) => id);
      if (filter.q === null) fresh = [...mergeNewestFirst(fresh, missed)];
      const newest = ids.value[0];
      const above = holding.value && newest !== undefined ? fresh.filter((id) => id > newest) : [];
      held.value = new Set(above);
      ids.value = above.length ? fresh.filter((id) => id <= newest!) : fresh;
    });

  const stopResync = resyncEvents.listen(() => void reload());

  void loadMore();

  return {
    ids,
    waiting: computed(() => held.value.size),
    loading,
    loaded,
    error,
    more: computed(() => cursor.value !== null),
    holding,
    loadMore,
    reload,
    release: () => {
      ids.value = mergeNewestFirst(ids.value, held.value);
      held.value = new Set();
    },
    close: () => {
      abort.abort();
      clearTimeout(timer);
      clearTimeout(searching);
      stopPhotos();
      stopResync();
    },
  };
}
