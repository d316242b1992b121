import { useEffect, useState } from "preact/hooks";
import { ApiError } from "../api/client";
import type { Album } from "../api/types";
import { reasonOf } from "../lib/format";
import { getAlbum, isAlbumRemoved, loadAlbum } from "../state/albums";
import { resyncEvents } from "../state/feed-events";

/** The album of a page; `isMissing` where there is none, or no longer. */
export function useAlbum(id: string | null): { album: Album | null; isMissing: boolean; error: string | null } {
  const [failure, fail] = useState<unknown>(null);
  useEffect(() => {
    if (id === null) return;
    const ending = new AbortController();
    const read = () => {
      loadAlbum(id, ending.signal).then(
        () => fail(null),
        (reason: unknown) => !ending.signal.aborted && fail(reason),
      );
    };
    read();
    const stop = resyncEvents.listen(read);
    return () => {
      stop();
      ending.abort();
    };
  }, [id]);
  if (id === null) return { album: null, isMissing: false, error: null };
  const album = getAlbum(id) ?? null;
  const isUnknown = failure instanceof ApiError && (failure.status === 404 || failure.status === 400);
  return {
    album,
    isMissing: isAlbumRemoved(id) || (isUnknown && album === null),
    error: failure !== null && album === null ? reasonOf(failure) : null,
  };
}
