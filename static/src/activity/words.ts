// What is said of a server.

import type { Backend, BackendLedger } from "../api/types";

/** What a server that is not connected means, and what to do. */
export function absence(server: Backend): string {
  switch (server.state) {
    case "connecting":
      return "Opening the connection.";
    case "unreachable":
      return `${sentence(server.error ?? "It does not answer")} It is tried again by itself; nothing it makes in the meantime is missed.`;
    case "unauthorized":
      return sentence(server.error ?? "This InvokeAI wants a login: give it under Edit");
    case "unrecognised":
      return sentence(server.error ?? "Another InvokeAI answers here: nothing is sent there and nothing is concluded from it");
    case "disabled":
      return "Nothing is read from it and nothing is sent to it.";
    case "connected":
      return "";
  }
}

/** Words of the service as one. */
export function sentence(words: string): string {
  const begun = words.charAt(0).toUpperCase() + words.slice(1);
  return /[.!?]$/.test(begun) ? begun : `${begun}.`;
}

interface LedgerPart {
  value: number;
  word: string;
  tone: "ok" | "warn" | "bad" | "muted";
}

/** Whether the server may be turned off. */
export function homeWords({ home, waiting, failed }: BackendLedger): string {
  if (home) return "All that it made is home: it may be turned off.";
  if (waiting > 0 || failed > 0) return "Not all that it made is home.";
  return "It may have made more: it works, or was not read since it worked.";
}

/** "214 made · 214 home", "3 on the way", "2 failed": the promise, counted. Green only once it may be turned off. */
export function ledgerParts({ made, retrieved, waiting, failed, gone, home }: BackendLedger): LedgerPart[] {
  const tone = failed > 0 ? "bad" : waiting > 0 ? "warn" : home ? "ok" : "muted";
  const parts: LedgerPart[] = [
    { value: made, word: "made", tone: tone === "bad" ? "muted" : tone },
    { value: retrieved, word: "home", tone: tone === "bad" ? "muted" : tone },
  ];
  if (waiting > 0) parts.push({ value: waiting, word: "on the way", tone: "warn" });
  if (failed > 0) parts.push({ value: failed, word: "failed", tone: "bad" });
  if (gone > 0) parts.push({ value: gone, word: "gone", tone: "muted" });
  return parts;
}
