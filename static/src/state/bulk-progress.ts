import { signal } from "@preact/signals";
import type { BulkProgress } from "../api/types";

/** Changes to many photos that are under way, of this browser and of others. */
export const bulkProgress = signal<readonly BulkProgress[]>([]);

/** One of which nothing is heard for so long has ended without a word. */
const SILENT_MS = 30_000;
const silent = new Map<string, ReturnType<typeof setTimeout>>();

export function putBulkProgress(progress: BulkProgress): void {
  clearTimeout(silent.get(progress.id));
  if (progress.done === progress.total) return drop(progress.id);
  silent.set(
    progress.id,
    setTimeout(() => drop(progress.id), SILENT_MS),
  );
  const at = bulkProgress.value.findIndex((one) => one.id === progress.id);
  bulkProgress.value = at < 0 ? [...bulkProgress.value, progress] : bulkProgress.value.with(at, progress);
}

export function forgetBulkProgress(): void {
  for (const one of bulkProgress.value) drop(one.id);
}

function drop(id: string): void {
  clearTimeout(silent.get(id));
  silent.delete(id);
  bulkProgress.value = bulkProgress.value.filter((one) => one.id !== id);
}
