import { useEffect, useMemo, useRef } from "preact/hooks";
import { type PhotoFilter, PhotoList } from "../state/photo-list";
import { typing } from "./search-field";

const KEPT_OPEN = 2;

/** Some lists stay open after they were left, so that whoever comes back finds them as they were; the latest last. */
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
