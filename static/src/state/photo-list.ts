import { computed, signal, type ReadonlySignal, type Signal } from "@preact/signals";
import { api, reasonOf } from "../api/client";
import type { Photo, PhotoList as Page, PhotoSource } from "../api/types";
import { photoEvents, resyncEvents } from "./feed-events";
import { getPhoto, putPhoto } from "./photos";

export interface PhotoFilter {
  trashed: boolean;
  source: PhotoSource | null;
  session: string | null;
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

export function matches(photo: Photo, filter: PhotoFilter): boolean {
  return (
    (photo.deleted_at !== null) === filter.trashed &&
    (filter.source === null || photo.source === filter.source) &&
    (filter.session === null || photo.session_id === filter.session)
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
  let timer: ReturnType<typeof setTimeout> | undefined;

  const fetchPage = (after: string | null) =>
    api.get<Page>(
      "/photos",
      { cursor: after, count: false, limit: PAGE, trashed: filter.trashed || null, source: filter.source, session_id: filter.session },
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

  const inReach = (id: string) => cursor.value === null || ids.value.length === 0 || id > ids.value[ids.value.length - 1]!;

  const stopPhotos = photoEvents.listen((event) => {
    const photo = event.kind === "removed" ? undefined : getPhoto(event.id)?.peek();
    if (photo && matches(photo, filter)) {
      left.delete(event.id);
      if (inReach(event.id)) arrived.add(event.id);
    } else {
      arrived.delete(event.id);
      left.add(event.id);
    }
    timer ??= setTimeout(settle, BATCH_MS);
  });

  async function attempt(work: () => Promise<void>): Promise<void> {
    if (loading.value) return;
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

  const loadMore = () =>
    attempt(async () => {
      if (loaded.value && cursor.value === null) return;
      const page = await fetchPage(cursor.value);
      ids.value = mergeNewestFirst(ids.value, page.items.map((photo) => putPhoto(photo).peek().id));
      cursor.value = page.next_cursor;
    });

  /** Reads again as far as was read before, then swaps at once. */
  const reload = () =>
    attempt(async () => {
      const wanted = ids.value.length;
      const fresh: string[] = [];
      let after: string | null = null;
      do {
        const page: Page = await fetchPage(after);
        for (const photo of page.items) fresh.push(putPhoto(photo).peek().id);
        after = page.next_cursor;
      } while (after !== null && fresh.length < wanted);
      const newest = ids.value[0];
      const above = holding.value && newest !== undefined ? fresh.filter((id) => id > newest) : [];
      held.value = new Set(above);
      ids.value = above.length ? fresh.filter((id) => id <= newest!) : fresh;
      cursor.value = after;
    });

  let stale = false;
  const stopResync = resyncEvents.listen(() => {
    if (!loading.value) return void reload();
    if (stale) return;
    stale = true;
    const end = loading.subscribe((busy) => {
      if (busy) return;
      stale = false;
      queueMicrotask(() => end());
      queueMicrotask(() => void reload());
    });
  });

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
      stopPhotos();
      stopResync();
    },
  };
}
