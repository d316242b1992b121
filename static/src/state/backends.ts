import { computed, signal } from "@preact/signals";
import { answerOf, api } from "../api/client";
import type { Backend, Ledger, QueueCounts } from "../api/types";
import { toastFailure } from "../app/toasts";

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
