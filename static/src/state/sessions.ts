// The studio's sessions.

import { batch, signal } from "@preact/signals";
import { answerOf, api } from "../api/client";
import type { NewStep, Session } from "../api/types";
import { reasonOf } from "../lib/format";
import { moment } from "./freshness";
import { putSessionSteps } from "./steps";

/** Newest first; null before the first answer. */
export const sessions = signal<readonly Session[] | null>(null);
export const sessionsError = signal<string | null>(null);
/** Where those begin that were not read yet, if there are any. */
export const olderSessions = signal<string | null>(null);

const PAGE = 200;
/** How many have been read, page by page. */
let depth = 0;
let reading: Promise<void> = Promise.resolve();

/** Reads the sessions anew, as far back as they were read before. */
export function loadSessions(): Promise<void> {
  return inTurn(async () => {
    try {
      const found = await readUntil((count) => count >= depth);
      depth = found.items.length;
      batch(() => {
        sessions.value = newestFirst(found.items);
        olderSessions.value = found.next;
        sessionsError.value = null;
      });
    } catch (failure) {
      sessionsError.value = reasonOf(failure);
    }
  });
}

/** Reads on until there are sessions that were not known. */
export function loadOlderSessions(): Promise<void> {
  return inTurn(async () => {
    const isNew = (session: Session) => !sessions.peek()?.some((known) => known.id === session.id);
    const found = await readUntil((_, page) => page.some(isNew), olderSessions.peek());
    depth += found.items.length;
    batch(() => {
      sessions.value = newestFirst([...(sessions.peek() ?? []), ...found.items.filter(isNew)]);
      olderSessions.value = found.next;
    });
  });
}

/** One after the other: a short list read anew must not take the place of a longer one that was read meanwhile. */
function inTurn(read: () => Promise<void>): Promise<void> {
  const turn = reading.then(read);
  reading = turn.catch(() => undefined);
  return turn;
}

async function readUntil(isEnough: (count: number, page: readonly Session[]) => boolean, cursor: string | null = null) {
  const items: Session[] = [];
  let page: { items: Session[]; next_cursor: string | null };
  do {
    page = await answerOf(api.GET("/api/v1/sessions", { params: { query: { limit: PAGE, count: false, cursor } } }));
    items.push(...page.items);
    cursor = page.next_cursor;
  } while (cursor !== null && !isEnough(items.length, page.items));
  return { items, next: cursor };
}

export async function loadSession(id: string, signal?: AbortSignal): Promise<Session> {
  const asked = moment();
  const { steps, ...session } = await answerOf(
    api.GET("/api/v1/sessions/{session_id}", { params: { path: { session_id: id } }, signal: signal ?? null }),
  );
  putSessionSteps(id, steps, asked);
  putSession(session);
  return session;
}

/** A session with its first step; both are created, or neither. */
export async function createSession(name: string, first: NewStep): Promise<{ session: string; step: string }> {
  const asked = moment();
  const { steps, ...session } = await answerOf(api.POST("/api/v1/sessions", { body: { name, first_step: first } }));
  putSessionSteps(session.id, steps, asked);
  putSession(session);
  return { session: session.id, step: steps.find((step) => step.correlation_id === first.correlation_id)!.id };
}

export async function renameSession(id: string, name: string): Promise<void> {
  putSession(await answerOf(api.PATCH("/api/v1/sessions/{session_id}", { params: { path: { session_id: id } }, body: { name } })));
}

export async function deleteSession(id: string): Promise<void> {
  await api.DELETE("/api/v1/sessions/{session_id}", { params: { path: { session_id: id } } });
  dropSession(id);
}

export function putSession(session: Session): void {
  if (session.deleted_at !== null) return dropSession(session.id);
  const others = (sessions.value ?? []).filter((one) => one.id !== session.id);
  sessions.value = newestFirst([session, ...others]);
}

const removed = signal<ReadonlySet<string>>(new Set());

/** Was it deleted, here or elsewhere, since the page was opened? */
export function isRemoved(id: string): boolean {
  return removed.value.has(id);
}

export function dropSession(id: string): void {
  removed.value = new Set(removed.value).add(id);
  sessions.value = (sessions.value ?? []).filter((one) => one.id !== id);
}

function newestFirst(list: readonly Session[]): Session[] {
  return [...list].sort((a, b) => (a.updated_at < b.updated_at ? 1 : a.updated_at > b.updated_at ? -1 : 0));
}
