// Messages of one line, bottom left.

import { signal } from "@preact/signals";
import { reasonOf } from "./format";

interface Toast {
  id: number;
  text: string;
  tone: "plain" | "bad";
  action?: { label: string; keys?: string; run: () => void };
  /** A newer one of the same kind takes its place. */
  kind?: string | undefined;
}

const SHOWN_MS = 7_000;
const AT_ONCE = 4;

export const toasts = signal<readonly Toast[]>([]);
let last = 0;

/** When each has been shown long enough, but for the one under the pointer or with the focus. */
const timers = new Map<number, ReturnType<typeof setTimeout>>();
let heldOn: number | null = null;

/** One line, bottom left; its id. What went wrong stays until dismissed; what can be undone stands for itself. */
export function toast(text: string, options: Partial<Pick<Toast, "tone" | "action" | "kind">> = {}): number {
  const one: Toast = { id: ++last, text, tone: "plain", ...options };
  const isReplaced = (other: Toast) =>
    other.kind === undefined ? other.action === undefined && other.text === text : other.kind === one.kind && other.id !== heldOn;
  const others = toasts.value.filter((other) => !isReplaced(other));
  const passing = others.filter((other) => other.tone === "plain");
  const over = new Set(passing.filter(({ id }) => id !== heldOn).slice(0, Math.max(0, others.length + 1 - AT_ONCE)));
  toasts.value = [...others.filter((other) => !over.has(other)), one];
  if (one.tone !== "bad") expire(one.id);
  return one.id;
}

function expire(id: number): void {
  clearTimeout(timers.get(id));
  timers.set(
    id,
    setTimeout(() => dismiss(id), SHOWN_MS),
  );
}

/** Stays as long as somebody is on it, and then for its whole time again. */
export function hold(id: number): void {
  heldOn = id;
  clearTimeout(timers.get(id));
}

export function letGo(id: number): void {
  if (heldOn === id) heldOn = null;
  if (timers.has(id)) expire(id);
}

export function dismiss(id: number): void {
  clearTimeout(timers.get(id));
  timers.delete(id);
  if (heldOn === id) heldOn = null;
  toasts.value = toasts.value.filter((one) => one.id !== id);
}

/** Says what failed and why. */
export function toastFailure(what: string, failure: unknown): void {
  toast(`${what} ${reasonOf(failure)}`, { tone: "bad" });
}
