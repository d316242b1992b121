import type { Backend } from "../api/types";
import { ago, duration } from "../app/format";

/** When a server that is away answered last. */
export function lastSeen({ last_seen_at }: Pick<Backend, "last_seen_at">, now: number): string {
  return last_seen_at === null ? "Never reached so far." : `Last seen ${ago(last_seen_at, now)}.`;
}

/** When a server that is away is tried next, by itself. */
export function nextAttempt({ next_attempt_at }: Pick<Backend, "next_attempt_at">, now: number): string {
  const seconds = next_attempt_at === null ? 0 : (Date.parse(next_attempt_at) - now) / 1000;
  return seconds > 0 ? `Tried again in ${duration(seconds)}.` : "Trying now…";
}
