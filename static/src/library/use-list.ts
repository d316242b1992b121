// The lists that the library shows.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { photoEvents } from "../state/feed-events";
import type { PhotoFilter } from "../state/photo-filter";
import { PhotoList } from "../state/photo-list";
import { typing } from "./search-field";

const KEPT_OPEN = 2;

/** Some lists stay open after they were left, so that a reader who comes back finds them as they were; the latest last. */
const open = new Map<string, PhotoList>();

function listOf(key: string, filter: PhotoFilter): PhotoList {
  const known = open.get(key);
  const list = known && known.error.peek() === null ? known : new PhotoList(filter);
  if (known !== list) known?.close();
  open.delete(key);
  open.set(key, list);
  return list;
}

function closeAllBut(...used: PhotoList[]): void {
  const idle = [...open].filter(([, list]) => !used.includes(list));
  const kept = idle.filter(([, list]) => list.loaded.peek()).slice(-KEPT_OPEN);
  for (const one of idle) {
    const [key, list] = one;
    if (kept.includes(one)) {
      // Nobody looks at it: it is as its filter says.
      if (list.hasStale.peek()) list.release();
      continue;
    }
    list.close();
    open.delete(key);
  }
}

/** Whether a list says something: what the beginning of a word finds may be nothing, or wrong, only until the next letter. */
function isSettled(list: PhotoList): boolean {
  if (typing.value && list.filter.q !== null && (list.error.value !== null || list.ids.value.length === 0)) return false;
  return list.loaded.value || list.error.value !== null;
}

/** The list a filter asks for. Until it is read, the one before it stays on show. */
export function useList(filter: PhotoFilter): { list: PhotoList; reading: boolean } {
  const key = JSON.stringify(filter);
  const wanted = useMemo(() => listOf(key, filter), [key]);
  const shown = useRef(wanted);
  if (isSettled(wanted)) shown.current = wanted;
  const list = shown.current;
  useEffect(() => closeAllBut(wanted, list), [wanted, list]);
  return { list, reading: wanted !== list };
}

const AGAIN_MS = 1_000;

/** How many photos of a list a day has, also those that are not loaded; null until that is known. */
export function useDayCount(list: PhotoList, key: string | null): number | null {
  const [found, find] = useState<{ key: string; count: number } | null>(null);
  useEffect(() => {
    if (key === null) return;
    const ending = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const [year, month, day] = key.split("-").map(Number) as [number, number, number];
    const ask = async () => {
      timer = undefined;
      const count = await list.countBetween(new Date(year, month - 1, day), new Date(year, month - 1, day + 1), ending.signal);
      if (count !== null && !ending.signal.aborted) find({ key, count });
    };
    void ask();
    const stop = photoEvents.listen(() => (timer ??= setTimeout(() => void ask(), AGAIN_MS)));
    return () => {
      stop();
      clearTimeout(timer);
      ending.abort();
    };
  }, [list, key]);
  return found !== null && found.key === key ? found.count : null;
}
