// What is said of a pod.

import type { Backend, BackendLedger, Pod, PodState } from "../api/types";
import { count, hourly, lasting, money, timeToday } from "../lib/format";
import { STATE_WORDS } from "../state/backends";
import { isRefused, uncapitalised } from "../state/pods";
import { sentence } from "./words";

const POD_STATES: Record<PodState, { word: string; tone: string }> = {
  stopped: { word: "Stopped", tone: "" },
  starting: { word: "Starting…", tone: "warn" },
  running: { word: "Running", tone: "ok" },
  stopping: { word: "Stopping…", tone: "warn" },
  failed: { word: "Failed", tone: "bad" },
  unknown: { word: "Not known", tone: "warn" },
};

/** The word beside a server's name. While its pod runs, what matters is how its InvokeAI stands. */
export function stateOf(server: Backend): { word: string; tone: string } {
  const { pod, state } = server;
  if (!pod || state === "disabled") return STATE_WORDS[state];
  if (pod.state === "running" && state !== "connected") return STATE_WORDS[state];
  return POD_STATES[pod.state];
}

function secondsSince(since: string | null, now: number): number | null {
  return since === null ? null : Math.max(0, (now - Date.parse(since)) / 1000);
}

function lastingFor(word: string, since: string | null, now: number): string {
  const seconds = secondsSince(since, now);
  return seconds === null ? word : `${word} for ${lasting(seconds)}`;
}

/** An alarm says why by itself. */
function withWords(said: string, { words, alarm }: Pod): string {
  return words === null || alarm !== null ? said : `${said}. ${sentence(words).slice(0, -1)}`;
}

/** "Starting for 2 min", "No free GPU on its host: tried again every 30 s until 14:32", "Stopped since 12:10". */
export function podSentence(pod: Pod, now: number): string {
  switch (pod.state) {
    case "stopped":
      return withWords(pod.since === null ? "Stopped" : `Stopped since ${timeToday(pod.since, now)}`, pod);
    case "starting": {
      if (!isRefused(pod)) return withWords(lastingFor("Starting", pod.since, now), pod);
      const until = pod.give_up_at ? ` until ${timeToday(pod.give_up_at, now)}` : "";
      return `${sentence(pod.words!).slice(0, -1)}: tried again every 30 s${until}`;
    }
    case "running":
      return withWords(lastingFor("Running", pod.since, now), pod);
    case "stopping":
      return withWords(lastingFor("Stopping", pod.since, now), pod);
    case "failed":
      return `Failed: ${uncapitalised(pod.words ?? "the provider does not say why")}`;
    case "unknown":
      return `Not known: ${uncapitalised(pod.words ?? "the provider does not answer")}`;
  }
}

/** "$0.69/h", "$1.38 this run", "saved $12.40". A price of nothing is one that was not told. */
export function moneyParts({ cost_per_hour, cost_run, saved, state }: Pod): string[] {
  const parts = [cost_per_hour ? hourly(cost_per_hour) : "Price not known"];
  // While it starts, the run that counts has not begun.
  const isOver = state === "stopped" || state === "failed";
  if (cost_run !== null && cost_run > 0 && state !== "starting") {
    parts.push(`${money(cost_run)} ${isOver ? "last run" : "this run"}`);
  }
  if (saved > 0) parts.push(`saved ${money(saved)}`);
  return parts;
}

/** The clock that stops a pod, or what starts one. */
export function clockWords(pod: Pod, now: number): string {
  const { state, idle_minutes, idle_since, autostart, wanted } = pod;
  if (state === "running") {
    if (wanted === "stopped") return "It is stopped as soon as everything is known to be home.";
    if (wanted === null) return "It was not started here, and is not stopped by itself. Start takes it over.";
    const limit = idle_minutes * 60;
    const idle = secondsSince(idle_since, now);
    if (idle === null) return `In use. When it was idle for ${lasting(limit)}, it is stopped.`;
    if (idle >= limit) return `Idle for ${lasting(idle)}. It is stopped once all it made is home.`;
    return `Idle for ${ofLimit(idle, limit)}, then it is stopped.`;
  }
  if (state === "starting" || wanted === "running") return "What waits for it goes on by itself once it runs.";
  if (state === "stopped") {
    return autostart ? "A step for it starts it." : "No step starts it: it is started by hand only.";
  }
  return "";
}

/** "6 of 15 min", "20 s of 15 min", "3 of 6 s". */
function ofLimit(idle: number, limit: number): string {
  const [now, all] = [lasting(idle), lasting(limit)];
  const unit = / (s|min)$/.exec(all)?.[0];
  return unit && now.endsWith(unit) ? `${now.slice(0, -unit.length)} of ${all}` : `${now} of ${all}`;
}

/** What of it is not home, and what stopping it now does to that. */
export function notHome(ledger: BackendLedger): string[] {
  const unmade = Math.max(0, ledger.expected - ledger.made);
  const words: string[] = [];
  if (ledger.waiting > 0) words.push(`${count(ledger.waiting, "picture")} on the way: not home until it runs again.`);
  if (ledger.failed > 0) words.push(`${count(ledger.failed, "picture")} failed to come home: nowhere else than on the pod.`);
  if (unmade > 0) words.push(`${count(unmade, "picture")} expected: what is being made now is cut off.`);
  if (words.length === 0 && !ledger.home) words.push("It was not read to the end since it last worked: there may be more on it.");
  return words;
}

/** What stands where a server shows what it makes, while its pod does not run. */
export function restWords({ pod, ledger, error, last_seen_at }: Backend): string {
  if (pod?.state === "starting") return "Its InvokeAI is not asked before the pod runs.";
  if (pod?.state === "stopping") return "It is being stopped.";
  if (pod?.state === "failed") return "Nothing is sent to it, and nothing is asked of it, before it runs again.";
  if (pod?.state === "unknown") return `${sentence(error ?? "Its InvokeAI does not answer")} It is tried again by itself.`;
  if (last_seen_at === null) return "Start it once: steps can be made for it as soon as its models are known.";
  if (ledger.waiting > 0 || ledger.failed > 0) return "What is not home comes once it runs again.";
  return "Nothing runs, and nothing is missed: it makes nothing while it is stopped.";
}
