import { type Signal, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { ApiError, answerOf, api, reasonOf } from "../api/client";
import type { Photo } from "../api/types";
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
    const abort = new AbortController();
    const asked = moment();
    answerOf(api.GET("/api/v1/photos/{photo_id}", { params: { path: { photo_id: id } }, signal: abort.signal }))
      .then((photo) => {
        if (putPhoto(photo, asked)) read.value += 1;
        else error.value = GONE;
      })
      .catch((failure: unknown) => {
        if (abort.signal.aborted) return;
        error.value = failure instanceof ApiError && failure.status === 404 ? GONE : reasonOf(failure);
      });
    return () => abort.abort();
  }, [id]);
  void read.value;
  return { photo: (id !== null && getPhoto(id)) || null, error: error.value };
}
