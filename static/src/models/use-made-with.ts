import type { RefObject } from "preact";
import { useEffect, useReducer, useRef, useState } from "preact/hooks";
import { answerOf, api } from "../api/client";
import type { ModelDetail } from "../api/types";
import { reasonOf } from "../lib/format";
import { photoEvents, resyncEvents } from "../state/feed-events";
import { moment } from "../state/freshness";
import { wasMadeWith } from "../state/photo-filter";
import { getPhoto, putPhoto } from "../state/photos";

/** A model that is only scrolled past is not asked for. */
const PAUSE_MS = 120;
const AGAIN_MS = 1_000;
const AT_ONCE = 3;

export interface MadeWith {
  detail: ModelDetail | null;
  /** The newest photos, newest first. */
  ids: readonly string[];
  error: string | null;
}

const NOTHING: MadeWith = { detail: null, ids: [], error: null };

/** What was made with a model, as long as that is looked at; live. */
export function useMadeWith(key: string, isSeen: boolean, most: number): MadeWith & { reload: () => void } {
  const [state, setState] = useState(NOTHING);
  const latest = useRef(state);
  latest.current = state;
  const again = useRef<() => void>(() => undefined);
  useEffect(() => {
    if (!isSeen) return;
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const read = async () => {
      timer = undefined;
      const next = await readDetail(key, most, abort.signal);
      if (next !== null) setState((was) => ("error" in next ? { ...was, ...next } : { ...next, error: null }));
    };
    const readIn = (milliseconds: number) => (timer ??= setTimeout(() => void read(), milliseconds));
    again.current = () => readIn(0);
    readIn(latest.current.detail === null ? PAUSE_MS : 0);
    const subscriptions = [
      resyncEvents.listen(() => readIn(0)),
      photoEvents.listen(({ id }) => {
        const { detail, ids } = latest.current;
        const photo = getPhoto(id)?.peek();
        const isOne = photo ? detail !== null && isOf(detail, photo) : ids.includes(id);
        if (!isOne) return;
        setState((was) => ({ ...was, ids: withPhoto(was.ids, id, photo?.deleted_at === null, most) }));
        readIn(AGAIN_MS); // for its number
      }),
    ];
    return () => {
      abort.abort();
      clearTimeout(timer);
      for (const end of subscriptions) end();
    };
  }, [key, isSeen, most]);
  return { ...state, reload: () => again.current() };
}

function isOf({ photo_filter }: ModelDetail, photo: Parameters<typeof wasMadeWith>[0]): boolean {
  return (photo_filter.model !== null || photo_filter.lora !== null) && wasMadeWith(photo, photo_filter);
}

/** Ids are time-ordered: newest first is descending by id. */
export function withPhoto(ids: readonly string[], id: string, isIn: boolean, most: number): readonly string[] {
  const others = ids.filter((one) => one !== id);
  if (!isIn) return others.length === ids.length ? ids : others;
  if (others.length !== ids.length) return ids;
  return [...ids, id].sort((a, b) => (a < b ? 1 : -1)).slice(0, most);
}

let running = 0;
const waiting: (() => void)[] = [];

/** A few at a time, so that pictures have their turn. */
async function inTurn<T>(work: () => Promise<T>): Promise<T> {
  while (running >= AT_ONCE) await new Promise<void>((go) => waiting.push(go));
  running += 1;
  try {
    return await work();
  } finally {
    running -= 1;
    waiting.shift()?.();
  }
}

async function readDetail(
  key: string,
  limit: number,
  signal: AbortSignal,
): Promise<{ detail: ModelDetail; ids: readonly string[] } | { error: string } | null> {
  return inTurn(async () => {
    if (signal.aborted) return null;
    const asked = moment();
    try {
      const params = { path: { key }, query: { limit } };
      const detail = await answerOf(api.GET("/api/v1/models/{key}", { params, signal }));
      const known = detail.newest_photos.filter((photo) => putPhoto(photo, asked));
      return { detail, ids: known.map(({ id }) => id) };
    } catch (failure) {
      return signal.aborted ? null : { error: reasonOf(failure) };
    }
  });
}

function isUsed(element: HTMLElement | null): boolean {
  if (element === null) return false;
  // A finger that has left a picture is still said to hover.
  return element.matches(":focus-within") || (matchMedia("(hover: hover)").matches && element.matches(":hover"));
}

/** Pictures stay where they are while the pointer or the focus is on them; what came since is shown after that. */
export function useHeld(ids: readonly string[], element: RefObject<HTMLElement>): readonly string[] {
  const [, redraw] = useReducer((n: number) => n + 1, 0);
  const shown = useRef(ids);
  if (shown.current.length === 0 || !isUsed(element.current)) shown.current = ids;
  useEffect(() => {
    const box = element.current;
    if (box === null) return;
    const leave = () => requestAnimationFrame(() => redraw(undefined as never));
    const ending = new AbortController();
    for (const type of ["pointerleave", "focusout"]) box.addEventListener(type, leave, { signal: ending.signal });
    return () => ending.abort();
  }, []);
  return shown.current;
}
