import { computed, signal } from "@preact/signals";
import type { Backend, Ledger, QueueCounts } from "../api/types";

export const backends = signal<readonly Backend[]>([]);

/** False until the feed or REST has told which servers there are. */
export const backendsKnown = signal(false);
export const version = signal<string | null>(null);

export const hasDemo = computed(() => backends.value.some((backend) => backend.kind === "demo"));

export function putBackends(all: readonly Backend[]): void {
  backends.value = all;
  backendsKnown.value = true;
}

export function putBackend(backend: Backend): void {
  const known = backends.value.some((one) => one.id === backend.id);
  backends.value = known ? backends.value.map((one) => (one.id === backend.id ? backend : one)) : [...backends.value, backend];
}

export function dropBackend(id: string): void {
  backends.value = backends.value.filter((one) => one.id !== id);
}

export function putQueue({ backend_id, ...queue }: QueueCounts & { backend_id: string }): void {
  backends.value = backends.value.map((one) => (one.id === backend_id ? { ...one, queue } : one));
}

export function putLedger(ledger: Ledger): void {
  backends.value = backends.value.map((one) => {
    const own = ledger.backends[one.id];
    return own ? { ...one, ledger: own } : one;
  });
}

export function backendName(id: string | null): string {
  return backends.value.find((one) => one.id === id)?.name ?? "a removed server";
}
