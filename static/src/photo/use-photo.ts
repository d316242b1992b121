// Reading one photo.

import { type Signal, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { ApiError, answerOf, api } from "../api/client";
import type { Photo } from "../api/types";
import { reasonOf } from "../lib/format";
import { moment } from "../state/freshness";
import { getPhoto, putPhoto } from "../state/photos";

const GONE = "This photo is gone. It was deleted for good, or its address is not quite right.";

/** A photo by id, read from the service when the page does not know it yet. */
export function usePhoto(id: string | null): { photo: Signal<Photo> | null; error: string | null } {
  const error = useSignal<string | null>(null);
  const read = useSignal(0);
  useEffect(() => {
    error.value = null;
    if (id === null || getPhoto(id)) return;
    const asked = moment();
    return readPhoto(
      id,
      (photo) => {
        if (putPhoto(photo, asked)) read.value += 1;
        else error.value = GONE;
      },
      (words) => (error.value = words),
    );
  }, [id]);
  void read.value;
  return { photo: (id !== null && getPhoto(id)) || null, error: error.value };
}

/**
 * A photo with all that is known of its making, of which lists and the feed tell a part; null until it is read, which
 * begins after so many milliseconds. It is read again when it has other bytes.
 */
export function useWholePhoto(
  id: string | null,
  { sha256 = null, after = 0 }: { sha256?: string | null; after?: number } = {},
): { photo: Photo | null; error: string | null } {
  const whole = useSignal<Photo | null>(null);
  const error = useSignal<string | null>(null);
  useEffect(() => {
    error.value = null;
    if (id === null) return;
    let end = (): void => undefined;
    const begin = () => {
      end = readPhoto(
        id,
        (photo) => (whole.value = photo),
        (words) => (error.value = words),
      );
    };
    const timer = after > 0 ? setTimeout(begin, after) : undefined;
    if (timer === undefined) begin();
    return () => {
      clearTimeout(timer);
      end();
    };
  }, [id, sha256, after]);
  return { photo: whole.value?.id === id ? whole.value : null, error: error.value };
}

/** Returns what ends it. */
function readPhoto(id: string, onRead: (photo: Photo) => void, onError: (words: string) => void): () => void {
  const abort = new AbortController();
  answerOf(api.GET("/api/v1/photos/{photo_id}", { params: { path: { photo_id: id } }, signal: abort.signal }))
    .then(onRead)
    .catch((failure: unknown) => {
      if (abort.signal.aborted) return;
      onError(failure instanceof ApiError && failure.status === 404 ? GONE : reasonOf(failure));
    });
  return () => abort.abort();
}
