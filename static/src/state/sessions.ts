import { signal } from "@preact/signals";
import { api, reasonOf } from "../api/client";
import type { Session, SessionDetail, SessionList } from "../api/types";
import { moment } from "./freshness";
import { putSessionSteps } from "./steps";

/** Newest first; null before the first answer. */
export const sessions = signal<readonly Session[] | null>(null);
export const sessionsError = signal<string | null>(null);

export async function loadSessions(): Promise<void> {
  try {
    const list = await api.get<SessionList>("/sessions", { limit: 200 });
    sessions.value = newestFirst(list.items);
    sessionsError.value = null;
  } catch (failure) {
    sessionsError.value = reasonOf(failure);
  }
}

export async function loadSession(id: string, signal?: AbortSignal): Promise<Session> {
  const asked = moment();
  const { steps, ...session } = await api.get<SessionDetail>(`/sessions/${id}`, {}, signal);
  putSessionSteps(id, steps, asked);
  putSession(session);
  return session;
}

export async function createSession(name: string): Promise<Session> {
  const asked = moment();
  const { steps: _none, ...session } = await api.post<SessionDetail>("/sessions", { name });
  putSessionSteps(session.id, [], asked);
  putSession(session);
  return session;
}

export async function renameSession(id: string, name: string): Promise<void> {
  putSession(await api.patch<Session>(`/sessions/${id}`, { name }));
}

export async function deleteSession(id: string): Promise<void> {
  await api.delete(`/sessions/${id}`);
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
