// The InvokeAI servers, with their queues and ledgers.

import { computed, signal } from "@preact/signals";
import { answerOf, api } from "../api/client";
import type { Backend, BackendState, Ledger, QueueCounts } from "../api/types";
import { ago, duration } from "../lib/format";
import { toastFailure } from "../lib/toasts";

export const backends = signal<readonly Backend[]>([]);

/** False until the feed or REST has told which servers there are. */
export const backendsKnown = signal(false);
export const version = signal<string | null>(null);

export const hasDemo = computed(() => backends.value.some((backend) => backend.kind === "demo"));

async function loadBackends(): Promise<void> {
  try {
    putBackends((await answerOf(api.GET("/api/v1/backends"))).items);
  } catch {
    // A lost connection: the next hello brings them all.
  }
}

/** What pods cost and saved by now. How they stand is told by the feed, which may be ahead of this. */
export async function countMoney(): Promise<void> {
  try {
    const { items } = await answerOf(api.GET("/api/v1/backends"));
    backends.value = backends.value.map((one) => {
      const counted = items.find(({ id }) => id === one.id)?.pod;
      if (!counted || !one.pod || counted.state !== one.pod.state) return one;
      const { cost_run, saved } = counted;
      return { ...one, pod: { ...one.pod, cost_run, saved } };
    });
  } catch {
    // Counted again soon.
  }
}

export function putBackends(all: readonly Backend[]): void {
  backends.value = all;
  backendsKnown.value = true;
}

/** Taken away on this page: a word on its state may still be on its way. */
const dropped = new Set<string>();

export function putBackend(backend: Backend): void {
  if (dropped.has(backend.id)) return;
  const known = backends.value.some((one) => one.id === backend.id);
  backends.value = known ? backends.value.map((one) => (one.id === backend.id ? backend : one)) : [...backends.value, backend];
}

export function dropBackend(id: string): void {
  dropped.add(id);
  backends.value = backends.value.filter((one) => one.id !== id);
}

export function putQueue({ backend_id, ...queue }: QueueCounts & { backend_id: string }): void {
  backends.value = backends.value.map((one) => (one.id === backend_id ? { ...one, queue } : one));
}

/** A ledger names every server there is: one it leaves out was taken away elsewhere, or is newer than the ledger. */
export function putLedger(ledger: Ledger): void {
  if (backends.value.some((one) => !ledger.backends[one.id])) void loadBackends();
  backends.value = backends.value.map((one) => {
    const own = ledger.backends[one.id];
    return own ? { ...one, ledger: own } : one;
  });
}

/** What there is to read of it is read at once; one that is away is tried now. What is found comes by the feed. */
export async function lookAt({ id, name }: Backend): Promise<boolean> {
  try {
    await api.POST("/api/v1/backends/{backend_id}/look", { params: { path: { backend_id: id } } });
    return true;
  } catch (failure) {
    toastFailure(`${name} was not asked.`, failure);
    return false;
  }
}

export function backendName(id: string | null): string {
  return backends.value.find((one) => one.id === id)?.name ?? "a removed server";
}

/** The state of a server in a word. */
export const STATE_WORDS: Record<BackendState, { word: string; tone: string }> = {
  connected: { word: "Connected", tone: "ok" },
  connecting: { word: "Connecting…", tone: "warn" },
  unreachable: { word: "Not reachable", tone: "bad" },
  unauthorized: { word: "Login refused", tone: "bad" },
  unrecognised: { word: "Another InvokeAI?", tone: "bad" },
  disabled: { word: "Switched off", tone: "" },
};

/** When a server that is away answered last. */
export function lastSeen({ last_seen_at }: Pick<Backend, "last_seen_at">, now: number): string {
  return last_seen_at === null ? "Never reached so far." : `Last seen ${ago(last_seen_at, now)}.`;
}

/** When a server that is away is tried next, by itself. */
export function nextAttempt({ next_attempt_at }: Pick<Backend, "next_attempt_at">, now: number): string {
  const seconds = next_attempt_at === null ? 0 : (Date.parse(next_attempt_at) - now) / 1000;
  return seconds > 0 ? `Tried again in ${duration(seconds)}.` : "Trying now…";
}
