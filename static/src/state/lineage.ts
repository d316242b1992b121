// Reading the family of a photo.

import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError, answerOf, api } from "../api/client";
import type { LineageEdge, MissingSource } from "../api/types";
import { reasonOf } from "../lib/format";
import { photoEvents, resyncEvents } from "./feed-events";
import { moment } from "./freshness";
import { getPhoto, putPhoto } from "./photos";

/** Where a photo came from and what was made from it, as far as it was read. */
export interface Lineage {
  /** Of this photo. */
  id: string;
  /** The photo itself first, then those nearest to it. The photos stand in `photos`. */
  ids: readonly string[];
  edges: readonly LineageEdge[];
  /** Sources that are no photo here: they never came home, or were deleted for good. */
  missing: readonly MissingSource[];
  /** There is more family than was read. */
  truncated: boolean;
}

const MISSING = "missing:";

interface LineageReading {
  /** Null before the first answer, and of a photo that is not there. */
  lineage: Lineage | null;
  isMissing: boolean;
  /** Why the last reading failed. */
  error: string | null;
  reload: () => void;
}

/** Events come in bursts: it is read again once for each burst, and at most so often. */
const AGAIN_MS = 700;

/** The family of a photo, read `after` so many milliseconds, and again whenever a photo was recorded, changed or deleted. */
export function useLineage(id: string | null, limit: number, after = 0): LineageReading {
  const [lineage, setLineage] = useState<Lineage | null>(null);
  const [failure, fail] = useState<unknown>(null);
  const again = useRef<() => void>(() => undefined);
  useEffect(() => {
    fail(null);
    if (id === null) return;
    const ending = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let isReading = false;
    let isStale = false;
    const read = async () => {
      timer = undefined;
      isReading = true;
      isStale = false;
      try {
        const found = await readLineage(id, limit, ending.signal);
        if (ending.signal.aborted) return;
        fail(null);
        setLineage((before) => (before !== null && isSame(before, found) ? before : found));
      } catch (reason) {
        if (!ending.signal.aborted) fail(reason);
      }
      isReading = false;
      if (isStale && !ending.signal.aborted) readIn(AGAIN_MS);
    };
    const readIn = (wait: number) => {
      // What was asked for already may be older than what has just happened.
      if (isReading) isStale = true;
      else timer ??= setTimeout(() => void read(), wait);
    };
    again.current = () => readIn(0);
    readIn(after);
    const subscriptions = [photoEvents.listen(() => readIn(AGAIN_MS)), resyncEvents.listen(() => readIn(0))];
    return () => {
      ending.abort();
      clearTimeout(timer);
      for (const end of subscriptions) end();
    };
  }, [id, limit]);
  const isMissing = failure instanceof ApiError && (failure.status === 404 || failure.status === 400);
  return {
    lineage: lineage?.id === id && !isMissing ? lineage : null,
    isMissing,
    error: failure === null ? null : reasonOf(failure),
    reload: () => again.current(),
  };
}

async function readLineage(id: string, limit: number, signal: AbortSignal): Promise<Lineage> {
  const asked = moment();
  const params = { path: { photo_id: id }, query: { limit } };
  const { nodes, edges, missing, truncated } = await answerOf(api.GET("/api/v1/photos/{photo_id}/lineage", { params, signal }));
  const ids = nodes.filter((photo) => putPhoto(photo, asked)).map((photo) => photo.id);
  const present = new Set(ids);
  return {
    id,
    ids,
    edges: edges.filter(({ from, to }) => present.has(from) && present.has(to)),
    missing: missing.filter(({ to }) => present.has(to)),
    truncated,
  };
}

/** Two readings that say the same: then nothing is drawn anew. */
function isSame(one: Lineage, other: Lineage): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

/** A missing source stands in the family under this key: of several photos it may be the same one, if its name is known. */
export function missingKey({ image_name, to }: MissingSource): string {
  return `${MISSING}${image_name ?? to}`;
}

export function isMissingKey(key: string): boolean {
  return key.startsWith(MISSING);
}

/** What a photo was made from directly, and what was made from it: keys of missing sources among them. */
export function relativesOf({ id, edges, missing }: Lineage): { parents: string[]; children: string[] } {
  const parents = new Set(edges.filter(({ to }) => to === id).map(({ from }) => from));
  for (const one of missing) if (one.to === id) parents.add(missingKey(one));
  const children = new Set(edges.filter(({ from }) => from === id).map(({ to }) => to));
  const isKnown = (key: string) => isMissingKey(key) || getPhoto(key) !== undefined;
  return { parents: [...parents].filter(isKnown), children: [...children].filter(isKnown) };
}
