// Asks for the feed's snapshot by HTTP while no websocket is open.

import { answerOf, api, changes } from "../api/client";
import type { HelloMessage } from "./messages";

/** Between two polls while something is being made or the page is in use, and otherwise. */
const LIVELY_MS = 5_000;
const CALM_MS = 10_000;
const USED_LATELY_MS = 60_000;
/** After a poll that an answer to the page's own request overtook. */
const OVERTAKEN_MS = 1_000;
/** A slow answer is asked for less often: polling takes a tenth of the time at most. */
const SHARE = 10;
const LONGEST_MS = 30_000;
const LONGEST_UNANSWERED_MS = 15_000;
/** A tab that has been hidden for longer asks nothing until it is shown. */
const HIDDEN_MS = 5 * 60_000;

let usedAt = performance.now();
let hiddenAt: number | null = null;

for (const type of ["pointerdown", "keydown", "wheel"]) {
  window.addEventListener(type, () => (usedAt = performance.now()), { capture: true, passive: true });
}

function noteVisibility(): void {
  if (document.visibilityState === "visible") hiddenAt = null;
  else hiddenAt ??= performance.now();
}

noteVisibility();
document.addEventListener("visibilitychange", noteVisibility);

interface Asker {
  answered: (message: HelloMessage) => void;
  /** `times` in a row. */
  unanswered: (times: number) => void;
}

/** Asks for the feed's `hello` by HTTP, again and again from `start` to `stop`. */
export class Polling {
  #on = false;
  #asking: AbortController | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #failures = 0;

  constructor(readonly asker: Asker) {}

  start(): void {
    if (this.#on) return;
    this.#on = true;
    this.now();
  }

  /** Ends the present wait. */
  now(): void {
    if (this.#on && this.#asking === undefined) void this.#ask();
  }

  stop(): void {
    this.#on = false;
    this.#failures = 0;
    clearTimeout(this.#timer);
    this.#asking?.abort();
    this.#asking = undefined;
  }

  async #ask(): Promise<void> {
    clearTimeout(this.#timer);
    if (hiddenAt !== null && performance.now() - hiddenAt > HIDDEN_MS) return;
    const asking = new AbortController();
    this.#asking = asking;
    const began = performance.now();
    const before = changes.peek();
    const snapshot = answerOf(api.GET("/api/v1/feed/snapshot", { signal: asking.signal })) as Promise<HelloMessage>;
    const message = await snapshot.catch(() => null);
    if (asking.signal.aborted) return;
    this.#asking = undefined;
    const overtaken = before !== changes.peek();
    this.#failures = message === null ? this.#failures + 1 : 0;
    const took = performance.now() - began;
    this.#timer = setTimeout(() => this.now(), this.#wait(message, overtaken, took));
    // An answer from before the page's own change would undo it on screen.
    if (message === null) this.asker.unanswered(this.#failures);
    else if (!overtaken) this.asker.answered(message);
  }

  #wait(message: HelloMessage | null, overtaken: boolean, took: number): number {
    if (message === null) return Math.min(LONGEST_UNANSWERED_MS, 500 * 2 ** (this.#failures - 1)) * (0.75 + Math.random() / 2);
    if (overtaken) return OVERTAKEN_MS;
    const inUse = hiddenAt === null && performance.now() - usedAt < USED_LATELY_MS;
    const lively = inUse || message.data.items.length > 0 || message.data.steps.length > 0;
    return Math.min(LONGEST_MS, Math.max(lively ? LIVELY_MS : CALM_MS, took * SHARE));
  }
}
