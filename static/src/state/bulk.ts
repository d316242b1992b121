// Changes to many photos, by ids or by a list's filter.

import { answerOf, api, within } from "../api/client";
import type { BulkAction, BulkFilter, BulkValue } from "../api/types";
import { queryOf } from "./photo-filter";
import type { PhotoList } from "./photo-list";

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
  /** Undoes it, and says how many photos are again as they were; null where nothing can be undone. */
  undo: (() => Promise<number>) | null;
}

function send(
  action: BulkAction,
  value: BulkValue,
  photos: { ids: string[] } | { filter: BulkFilter; newest_id: string | null; except_ids: string[] },
) {
  return answerOf(
    api.POST("/api/v1/photos/bulk", {
      body: { action, ...(value === undefined ? {} : { value }), ...photos },
      fetch: within(TIMEOUT_MS),
    }),
  );
}

/** Changes the named ones, or with `all` those. `value` is the action's, if it has one. */
export async function changeMany(action: BulkAction, ids: readonly string[], all: All | null, value?: BulkValue): Promise<Outcome> {
  const undo: string[] = [];
  let changed = 0;
  const add = (answer: { changed: number; undo: string | null }) => {
    changed += answer.changed;
    if (answer.undo !== null) undo.push(answer.undo);
  };
  if (all) add(await send(action, value, { filter: queryOf(all.list.filter), newest_id: all.newest, except_ids: [...all.except] }));
  else for (let at = 0; at < ids.length; at += MOST_IDS) add(await send(action, value, { ids: ids.slice(at, at + MOST_IDS) }));
  return { changed, undo: undo.length > 0 ? () => undoMany(undo) : null };
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

interface Sent {
  /** Null for all of a list. */
  ids: ReadonlySet<string> | null;
  ended: Promise<unknown>;
}

const sent = new Set<Sent>();

/** Sends what changes a photo once what was sent before about the same one is answered: the last word is the newest. */
export async function inTurn<T>(ids: readonly string[], all: All | null, send: () => Promise<T>): Promise<T> {
  const before = [...sent].filter((other) => all || other.ids === null || ids.some((id) => other.ids!.has(id)));
  const answered = before.length > 0 ? Promise.allSettled(before.map(({ ended }) => ended)).then(send) : send();
  const one: Sent = { ids: all ? null : new Set(ids), ended: answered };
  sent.add(one);
  try {
    return await answered;
  } finally {
    sent.delete(one);
  }
}
