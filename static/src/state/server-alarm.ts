// Which servers are away or in trouble.

import { computed, effect, signal } from "@preact/signals";
import type { Backend, BackendState } from "../api/types";
import { count } from "../lib/format";
import { backends } from "./backends";
import { isAtRest } from "./pods";

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
  unauthorized: "A login is wanted",
  unrecognised: "Another InvokeAI answers",
};

/** Why a server does not do what it should; a pod that does not run because nobody needs it is well. */
function wordOf(backend: Backend): string | null {
  if (isAtRest(backend)) return null;
  if (backend.pod?.state === "failed") return "Pod failed";
  const state = states.value.get(backend.id) ?? "connected";
  return state === "connected" || state === "disabled" ? null : WORDS[state];
}

/** The servers that are switched on and not connected although they should be, and how they stand. */
export const awayServers = computed(() =>
  backends.value
    .filter((backend) => backend.enabled && isAway(backend.id) && !isAtRest(backend))
    .map((server) => ({ server, state: states.value.get(server.id)! })),
);

/** The pods that cost although they should not, or do not do what they were told; also of servers that are switched off. */
export const podAlarms = computed(() =>
  backends.value.flatMap((server) => (server.pod?.alarm ? [{ server, words: server.pod.alarm }] : [])),
);

/** What is wrong with the servers that are switched on; null when all is well. */
export const serverAlarm = computed<ServerAlarm | null>(() => {
  const enabled = backends.value.filter((backend) => backend.enabled);
  const away = enabled.filter((backend) => wordOf(backend) !== null);
  const troubles = enabled.flatMap((backend) => backend.troubles.map((trouble) => `${backend.name}: ${trouble.words}`));
  const pods = podAlarms.value.map(({ server, words }) => `${server.name}: ${words}`);
  if (away.length === 0 && troubles.length === 0 && pods.length === 0) return null;
  const meaning = [...pods, ...away.map((backend) => `${backend.name}: ${whyAway(backend)}`), ...troubles].join("\n");
  if (pods.length > 0) return { word: pods.length === 1 ? "Pod alarm" : `${pods.length} pod alarms`, tone: "bad", meaning };
  if (away.length === 0) return { word: count(troubles.length, "trouble"), tone: "warn", meaning };
  const tone = away.every((backend) => states.value.get(backend.id) === "connecting") ? "warn" : "bad";
  return { word: awayWord(away, enabled.length), tone, meaning };
});

function whyAway(backend: Backend): string | null {
  return (backend.pod?.state === "failed" ? backend.pod.words : backend.error) ?? wordOf(backend);
}

function awayWord(away: readonly Backend[], of: number): string {
  const words = [...new Set(away.map(wordOf))];
  if (of > 1 && words.length === 1 && words[0] === WORDS.unreachable) return `${away.length} of ${of} not reachable`;
  return away.length === 1 ? words[0]! : `${away.length} of ${of} in trouble`;
}
