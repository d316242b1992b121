// How rented machines stand.

import type { Backend, Pod, PodState } from "../api/types";
import { backends } from "./backends";

/** While a pod is in one of these, its InvokeAI is not expected to answer: that is no outage. */
const AT_REST = new Set<PodState>(["stopped", "starting", "stopping"]);

/** A pod that does not run, and is not wrong for it. */
export function isAtRest({ pod }: Backend): boolean {
  return pod != null && AT_REST.has(pod.state);
}

/** A start that was refused for want of a GPU, and that is repeated. */
export function isRefused(pod: Pod): boolean {
  return pod.state === "starting" && pod.words?.startsWith("No free GPU") === true;
}

/** What is written of a server's choice: how its pod stands. Null for a server that is no pod. */
export function podWord({ pod }: Backend): string | null {
  if (!pod) return null;
  if (isRefused(pod)) return "waits for a start";
  return pod.state === "unknown" ? "not known" : pod.state;
}

/** Why work waits for this pod; null where it does not. */
export function podWait({ name, pod, state }: Backend): string | null {
  if (!pod || (state === "connected" && pod.state !== "stopping")) return null;
  switch (pod.state) {
    case "starting":
      return pod.words === null ? `Starting ${name}` : `Starting ${name}: ${uncapitalised(pod.words)}`;
    case "stopped":
      if (pod.wanted === "running") return `Starting ${name}`;
      return pod.autostart ? `${name} is stopped: this starts it` : `${name} is stopped: start it under Activity`;
    case "stopping":
      return pod.autostart ? `${name} is stopping, and is started again for this` : `${name} is stopping`;
    case "failed":
      return `${name} failed${pod.words === null ? "" : `: ${uncapitalised(pod.words)}`}`;
    case "running":
      return `${name} runs: waiting for its InvokeAI`;
    case "unknown":
      return null;
  }
}

/** Why work for this server waits for its pod. */
export function podWaitAt(backendId: string | null): string | null {
  const server = backends.value.find((one) => one.id === backendId);
  return server ? podWait(server) : null;
}

/** Words of the service within a sentence; "GPU" and the like stay as they are. */
export function uncapitalised(words: string): string {
  const isWord = /^\p{Lu}\p{Ll}|^[AI] /u.test(words);
  return (isWord ? words.charAt(0).toLowerCase() + words.slice(1) : words).replace(/\.$/, "");
}
