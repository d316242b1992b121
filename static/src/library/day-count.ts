import { useEffect, useState } from "preact/hooks";
import { photoEvents } from "../state/feed-events";
import type { PhotoList } from "../state/photo-list";

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
