import { batch, computed, signal } from "@preact/signals";
import { api } from "../api/client";
import type { SessionList } from "../api/types";
import { putSession, sessions } from "../state/sessions";

/** As many as the page begins with. */
const PAGE = 200;

/** How far back was read: the oldest session there, and where the next page begins, if there is one. */
const reached = signal<{ oldest: string; next: string | null } | null>(null);

/** Null also when the list was read anew since, and is short again. */
const standing = computed(() => {
  const at = reached.value;
  return at !== null && sessions.value?.some((session) => session.id === at.oldest) ? at : null;
});

export const moreSessions = computed(() => (standing.value ? standing.value.next !== null : (sessions.value?.length ?? 0) >= PAGE));

/** Reads on until there are sessions that were not known. */
export async function loadOlderSessions(): Promise<void> {
  let next = standing.peek()?.next ?? null;
  let found = 0;
  do {
    const page = await api.get<SessionList>("/sessions", { limit: PAGE, count: false, cursor: next });
    const known = new Set(sessions.peek()?.map((session) => session.id));
    const fresh = page.items.filter((session) => !known.has(session.id));
    const oldest = page.items.at(-1)?.id;
    next = page.next_cursor;
    found = fresh.length;
    batch(() => {
      for (const session of fresh) putSession(session);
      reached.value = oldest === undefined ? null : { oldest, next };
    });
  } while (found === 0 && next !== null);
}
