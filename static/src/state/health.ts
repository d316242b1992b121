// What is wrong with Darkroom itself.

import { effect, signal } from "@preact/signals";
import { answerOf, api, signedOut } from "../api/client";
import type { Ready, Trouble } from "../api/types";
import { connection } from "../feed/connection";
import { below } from "../lib/base";

const CALM_MS = 10_000;
const TROUBLED_MS = 5_000;
const TIMEOUT_MS = 10_000;

/** What keeps Darkroom from bringing pictures home, for as long as it does. */
export const troubles = signal<readonly Pick<Trouble, "code" | "words">[]>([]);

let timer: ReturnType<typeof setTimeout> | undefined;
let looking = false;

/** Looks at once, then every few seconds while the page can be seen, and whenever the live connection changes. */
export function followHealth(): void {
  document.addEventListener("visibilitychange", () => void look());
  effect(() => {
    if (connection.value !== "connecting") void look();
  });
}

async function look(): Promise<void> {
  if (looking || document.visibilityState !== "visible") return;
  looking = true;
  clearTimeout(timer);
  try {
    await read();
  } catch {
    // Darkroom itself does not answer: the connection's own note says so.
  }
  looking = false;
  timer = setTimeout(() => void look(), troubles.value.length > 0 || connection.value !== "live" ? TROUBLED_MS : CALM_MS);
}

async function read(): Promise<void> {
  const response = await fetch(below("/health/ready"), { signal: AbortSignal.timeout(TIMEOUT_MS), cache: "no-store" });
  const { details } = (await response.json()) as Ready;
  if (details.join() === troubles.value.map((trouble) => trouble.code).join()) return;
  if (details.length === 0) troubles.value = [];
  else if (details.includes("database_away")) {
    // Nothing else can be asked now.
    troubles.value = [{ code: "database_away", words: "The database does not answer. Darkroom goes on by itself once it does." }];
  } else if (!signedOut.value) troubles.value = (await answerOf(api.GET("/api/v1/status"))).troubles;
}
