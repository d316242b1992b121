import { useEffect, useState } from "preact/hooks";
import { ApiError } from "../api/client";
import { reasonOf } from "../lib/format";
import { resyncEvents } from "../state/feed-events";
import { isRemoved, loadSession } from "../state/sessions";
import { NEW } from "./kept-drafts";

export interface SessionError {
  /** There is no such session (any more). */
  missing: boolean;
  reason: string;
}

const REMOVED: SessionError = { missing: true, reason: "It was deleted." };

/** Reads the session, and again whenever the page may be stale; not one that is not created yet. */
export function useSession(id: string): SessionError | null {
  const [error, setError] = useState<SessionError | null>(null);
  useEffect(() => {
    setError(null);
    if (id === NEW) return;
    const abort = new AbortController();
    const read = async () => {
      try {
        await loadSession(id, abort.signal);
        setError(null);
      } catch (failure) {
        if (abort.signal.aborted) return;
        setError({ missing: failure instanceof ApiError && failure.status === 404, reason: reasonOf(failure) });
      }
    };
    void read();
    const stop = resyncEvents.listen(() => void read());
    return () => {
      abort.abort();
      stop();
    };
  }, [id]);
  return isRemoved(id) ? REMOVED : error;
}
