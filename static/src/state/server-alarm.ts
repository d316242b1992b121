import { computed, effect, signal } from "@preact/signals";
import type { Backend, BackendState } from "../api/types";
import { count } from "../app/format";
import { backends } from "./backends";

/** A server that is connecting for less than this keeps the state it had: each new attempt would show as a flash. */
const CONNECTING_MS = 3_000;

const states = signal<ReadonlyMap<string, BackendState>>(new Map());
const timers = new Map<string, ReturnType<typeof setTimeout>>();

effect(() => {
  for (const { id, state } of backends.value) {
    if (state !== "connecting") {
      clearTimeout(timers.get(id));
      timers.delete(id);
      put(id, state);
    } else if (!timers.has(id)) {
      timers.set(
        id,
        setTimeout(() => put(id, "connecting"), CONNECTING_MS),
      );
    }
  }
});

function put(id: string, state: BackendState): void {
  if (states.peek().get(id) !== state) states.value = new Map(states.peek()).set(id, state);
}

/** Nothing is heard from this server, and nothing comes from it for now. */
export function isAway(backendId: string | null): boolean {
  const state = backendId === null ? undefined : states.value.get(backendId);
  return state !== undefined && state !== "connected" && backends.value.some((backend) => backend.id === backendId);
}

interface ServerAlarm {
  word: string;
  tone: "warn" | "bad";
  /** For each server, what is wrong. */
  meaning: string;
}

const WORDS: Record<Exclude<BackendState, "connected" | "disabled">, string> = {
  connecting: "Connecting to InvokeAI…",
  unreachable: "InvokeAI not reachable",
  unauthorized: "InvokeAI wants a login",
  unrecognised: "Another InvokeAI answers",
};

function wordOf(backend: Backend): string | null {
  const state = states.value.get(backend.id) ?? "connected";
  return state === "connected" || state === "disabled" ? null : WORDS[state];
}

/** The servers that are switched on and not connected, and how they stand. */
export const awayServers = computed(() =>
  backends.value
    .filter((backend) => backend.enabled && isAway(backend.id))
    .map((server) => ({ server, state: states.value.get(server.id)! })),
);

/** What is wrong with the servers that are switched on; null when all is well. */
export const serverAlarm = computed<ServerAlarm | null>(() => {
  const enabled = backends.value.filter((backend) => backend.enabled);
  const away = enabled.filter((backend) => wordOf(backend) !== null);
  const troubles = enabled.flatMap((backend) => backend.troubles.map((trouble) => `${backend.name}: ${trouble.words}`));
  if (away.length === 0 && troubles.length === 0) return null;
  const meaning = [...away.map((backend) => `${backend.name}: ${backend.error ?? wordOf(backend)}`), ...troubles].join("\n");
  if (away.length === 0) return { word: count(troubles.length, "trouble"), tone: "warn", meaning };
  const tone = away.every((backend) => states.value.get(backend.id) === "connecting") ? "warn" : "bad";
  return { word: awayWord(away, enabled.length), tone, meaning };
});

function awayWord(away: readonly Backend[], of: number): string {
  const words = [...new Set(away.map(wordOf))];
  if (of > 1 && words.length === 1 && words[0] === WORDS.unreachable) return `${away.length} of ${of} not reachable`;
  return away.length === 1 ? words[0]! : `${away.length} of ${of} in trouble`;
}
