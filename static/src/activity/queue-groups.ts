// The rows of the queue's table.

import type { Item } from "../api/types";
import type { LiveItem } from "../state/items";

/** Work of one step, or of one batch of somebody else's, on one server. */
export interface QueueGroup {
  key: string;
  backend: string;
  step: string | null;
  live: readonly LiveItem[];
  /** It has ended, and keeps its row while the pointer is over the table. */
  over: boolean;
}

/** `items` in the order they run; a group stands where its first item does. */
export function groupItems(items: readonly LiveItem[]): QueueGroup[] {
  const groups = new Map<string, LiveItem[]>();
  for (const live of items) {
    const key = keyOf(live.item.value);
    groups.set(key, [...(groups.get(key) ?? []), live]);
  }
  return [...groups].map(([key, live]) => {
    const { backend_id, step_id } = live[0]!.item.value;
    return { key, backend: backend_id, step: step_id, live, over: false };
  });
}

function keyOf(item: Item): string {
  return `${item.backend_id}/${item.step_id ?? item.batch_id}`;
}

/** The groups of now in the rows of before: what has ended keeps its row, what is new comes last. No row moves. */
export function inHeldRows(before: readonly QueueGroup[], now: readonly QueueGroup[]): QueueGroup[] {
  const rows = before.map((row) => now.find((group) => group.key === row.key) ?? { ...row, over: true });
  return [...rows, ...now.filter((group) => !before.some((row) => row.key === group.key))];
}
