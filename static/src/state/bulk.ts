import { answerOf, api, within } from "../api/client";
import type { BulkAction, BulkFilter } from "../api/types";
import type { PhotoFilter, PhotoList } from "./photo-list";

/** As many as one request may name. */
const MOST_IDS = 10_000;
/** Where files are deleted, many take their time. */
const TIMEOUT_MS = 10 * 60_000;

/** All that a list shows up to the newest one, loaded or not, but some. */
export interface All {
  list: PhotoList;
  newest: string;
  except: readonly string[];
}

export interface Outcome {
  changed: number;
  /** What undoes it; empty where nothing does. */
  undo: string[];
}

/** A list's filter, in the words of the service. */
export function queryOf({ trashed, source, session, favorite, madeWith, q }: PhotoFilter): BulkFilter {
  return {
    trashed,
    source: source && [source],
    session_id: session === null ? null : [session],
    favorite: favorite || null,
    ...madeWith,
    q,
  };
}

function send(
  action: BulkAction,
  photos: { ids: string[] } | { filter: BulkFilter; newest_id: string | null; except_ids: string[] },
) {
  return answerOf(api.POST("/api/v1/photos/bulk", { body: { action, ...photos }, fetch: within(TIMEOUT_MS) }));
}

/** Changes the named ones, or with `all` those. */
export async function changeMany(action: BulkAction, ids: readonly string[], all: All | null): Promise<Outcome> {
  const outcome: Outcome = { changed: 0, undo: [] };
  const add = ({ changed, undo }: { changed: number; undo: string | null }) => {
    outcome.changed += changed;
    if (undo !== null) outcome.undo.push(undo);
  };
  if (all) add(await send(action, { filter: queryOf(all.list.filter), newest_id: all.newest, except_ids: [...all.except] }));
  else for (let at = 0; at < ids.length; at += MOST_IDS) add(await send(action, { ids: ids.slice(at, at + MOST_IDS) }));
  return outcome;
}

/** How many photos are again as they were. */
export async function undoMany(undo: readonly string[]): Promise<number> {
  let changed = 0;
  for (const one of undo) {
    const params = { path: { undo: one } };
    changed += (await answerOf(api.POST("/api/v1/undo/{undo}", { params, fetch: within(TIMEOUT_MS) }))).changed;
  }
  return changed;
}
