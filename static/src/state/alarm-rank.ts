// What is wrong, the worst first.

import type { Backend, BackendState, Trouble } from "../api/types";
import type { Connection } from "../feed/connection";
import { count } from "../lib/format";
import { uncapitalised } from "./pods";

/** Something wrong that is told on every page. */
export interface Alarm {
  kind: "offline" | "health" | "pod" | "server" | "photos" | "polling";
  /** The same trouble has the same key for as long as it lasts. */
  key: string;
  /** A trouble that has grown since it was hidden is shown again. */
  size: number;
  tone: "bad" | "warn" | "";
  words: string;
  server?: Backend;
}

interface Known {
  connection: Connection;
  /** Of Darkroom itself: its disk, its database. */
  troubles: readonly Pick<Trouble, "code" | "words">[];
  /** The servers that are away, and how. */
  away: readonly { server: Backend; state: BackendState }[];
  /** The pods that do not obey, or run without being wanted, and what is said of them. */
  pods: readonly { server: Backend; words: string }[];
  /** Photos that were given up. */
  failed: number;
}

const AWAY: Partial<Record<BackendState, string>> = {
  unreachable: "cannot be reached",
  unauthorized: "does not let Darkroom in: it wants a login",
  unrecognised: "is not the InvokeAI that it was",
};

/** What is wrong, the worst first. While Darkroom does not answer, nothing else is known. */
export function rankAlarms({ connection, troubles, away, pods, failed }: Known): Alarm[] {
  const own: Alarm[] = troubles.map(({ code, words }) => ({ kind: "health", key: code, size: 1, tone: "bad", words }));
  if (connection === "offline") {
    const isDatabase = troubles.some(({ code }) => code === "database_away");
    const words = "Darkroom does not answer. It is tried again by itself.";
    return isDatabase ? own : [{ kind: "offline", key: "offline", size: 1, tone: "bad", words }];
  }
  const costly: Alarm[] = pods.map(({ server, words: said }) => ({
    kind: "pod",
    key: `${server.id} pod: ${said}`,
    size: 1,
    tone: "bad",
    words: `${server.name}: ${said.replace(/\.$/, "")}.`,
  }));
  const servers: Alarm[] = away.flatMap(({ server, state }) => {
    const failedPod = server.pod?.state === "failed";
    const words = failedPod ? `failed: ${uncapitalised(server.pod?.words ?? "its provider does not say why")}` : AWAY[state];
    if (!words) return [];
    const alarm: Alarm = { kind: "server", key: `${server.id} ${state}`, size: 1, tone: "bad", words: `${server.name} ${words}.` };
    // A pod that failed is not tried by reaching it.
    return failedPod ? [{ ...alarm, key: `${server.id} failed` }] : [{ ...alarm, server }];
  });
  const photos: Alarm[] =
    failed > 0
      ? [{ kind: "photos", key: "photos", size: failed, tone: "bad", words: `${count(failed, "photo")} did not come home.` }]
      : [];
  const words = "Live updates are blocked by a proxy; this page asks every few seconds instead.";
  const late: Alarm[] = connection === "polling" ? [{ kind: "polling", key: "polling", size: 1, tone: "", words }] : [];
  return [...own, ...costly, ...servers, ...photos, ...late];
}

/** By key, how large a trouble was when it was hidden. */
type Hidden = Readonly<Record<string, number>>;

export function isShown(alarm: Alarm, hidden: Hidden): boolean {
  return alarm.size > (hidden[alarm.key] ?? 0);
}

/** What is over is forgotten: should it come again, it is shown. */
export function stillHidden(hidden: Hidden, alarms: readonly Alarm[]): Hidden {
  const present = new Set(alarms.map(({ key }) => key));
  const kept = Object.entries(hidden).filter(([key]) => present.has(key));
  return kept.length === Object.keys(hidden).length ? hidden : Object.fromEntries(kept);
}
