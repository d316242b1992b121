import { signal } from "@preact/signals";
import { reasonOf } from "../api/client";

interface Toast {
  id: number;
  text: string;
  tone: "plain" | "bad";
  action?: { label: string; run: () => void };
}

const SHOWN_MS = 7_000;
const AT_ONCE = 4;

export const toasts = signal<readonly Toast[]>([]);
let last = 0;

/** One line, bottom left. What went wrong stays until dismissed; what can be undone stands for itself. */
export function toast(text: string, options: Partial<Pick<Toast, "tone" | "action">> = {}): void {
  const one: Toast = { id: ++last, text, tone: "plain", ...options };
  const others = toasts.value.filter((other) => other.action !== undefined || other.text !== text);
  const passing = others.filter((other) => other.tone === "plain");
  const over = new Set(passing.slice(0, Math.max(0, others.length + 1 - AT_ONCE)));
  toasts.value = [...others.filter((other) => !over.has(other)), one];
  if (one.tone !== "bad") setTimeout(() => dismiss(one.id), SHOWN_MS);
}

export function dismiss(id: number): void {
  toasts.value = toasts.value.filter((one) => one.id !== id);
}

/** Says what failed and why. */
export function toastFailure(what: string, failure: unknown): void {
  toast(`${what} ${reasonOf(failure)}`, { tone: "bad" });
}
