// How many photos are selected, and how many of them are favourites.

import { useEffect, useState } from "preact/hooks";
import { answerOf, api } from "../api/client";
import type { All } from "../state/bulk";
import { queryOf } from "../state/photo-filter";
import type { PhotoList } from "../state/photo-list";
import { getPhoto } from "../state/photos";
import type { Everything, Selection } from "./selection";

export type Share = "all" | "some" | "none";

interface Chosen {
  /** Those that the page has. */
  ids: readonly string[];
  all: All | null;
  /** Null while it is not known, and where it is not counted: as of a search. */
  count: number | null;
  /** How many of them are favourites; null while it is not known. */
  favorites: Share | null;
}

const SAMPLE = 50;

/** What an action is on. */
export function targetOf(list: PhotoList, selection: Selection): Pick<Chosen, "ids" | "all"> {
  const ids = [...selection.chosen.peek()];
  const all = selection.everything.peek();
  return { ids, all: all && { list, newest: all.newest, except: [...all.except, ...all.late] } };
}

/** What is chosen, for the bar that tells of it. */
export function useChosen(list: PhotoList, selection: Selection): Chosen {
  const all = selection.everything.value;
  const ids = [...selection.chosen.value];
  const total = useTotal(list, all);
  const loaded = shareOf(ids.map((id) => getPhoto(id)?.value.favorite ?? false));
  const others = useOthers(list, all, loaded);
  return {
    ...targetOf(list, selection),
    count: all === null ? ids.length : total === null ? null : Math.max(0, total - all.left - all.except.size),
    favorites: all === null || loaded === "some" ? loaded : others,
  };
}

function shareOf(favorites: readonly boolean[]): Share {
  if (favorites.length > 0 && favorites.every(Boolean)) return "all";
  return favorites.some(Boolean) ? "some" : "none";
}

/** How many the list had when all of it was chosen. */
function useTotal(list: PhotoList, all: Everything | null): number | null {
  const ask = async ({ newest, left }: Everything) => {
    const many = await countUpTo(list, newest);
    return many === null ? null : many + left;
  };
  return useAnswer(all ? () => ask(all) : null, [list, all !== null]);
}

/** What was answered, once it is; a question without an answer stays open. Asked anew when `on` changes. */
function useAnswer<T>(ask: (() => Promise<T>) | null, on: unknown[]): T | null {
  const [answer, setAnswer] = useState<T | null>(null);
  useEffect(() => {
    setAnswer(null);
    let current = true;
    ask?.().then(
      (answered) => {
        if (current) setAnswer(() => answered);
      },
      () => undefined,
    );
    return () => {
      current = false;
    };
  }, on);
  return answer;
}

/** Null where it is not counted, or more is newer than one page shows. */
async function countUpTo(list: PhotoList, newest: string): Promise<number | null> {
  const query = { ...queryOf(list.filter), limit: SAMPLE };
  const { items, total } = await answerOf(api.GET("/api/v1/photos", { params: { query } }));
  const newer = items.filter((photo) => photo.id > newest).length;
  return total === null || newer === items.length ? null : total - newer;
}

/** Whether those that are not loaded are favourites as well, or as little, as those that are. */
function useOthers(list: PhotoList, all: Everything | null, loaded: Share): Share | null {
  // While all of them are being changed, no answer would last.
  const asks = all !== null && loaded !== "some" && list.more.value && list.doing.value === null;
  const mixed = useAnswer(asks ? () => hasOther(list, all, loaded !== "all") : null, [list, asks, loaded]);
  if (!asks) return loaded;
  return mixed === null ? null : mixed ? "some" : loaded;
}

async function hasOther(list: PhotoList, { newest, except, late }: Everything, favorite: boolean): Promise<boolean> {
  if (list.filter.favorite) return false;
  const query = { ...queryOf(list.filter), favorite, count: false, limit: SAMPLE };
  const { items, next_cursor } = await answerOf(api.GET("/api/v1/photos", { params: { query } }));
  return next_cursor !== null || items.some(({ id }) => id <= newest && !except.has(id) && !late.has(id));
}
