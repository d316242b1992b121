import type { Item } from "../api/types";

/** An item that runs: how much of it is done, and what InvokeAI says it still takes. */
interface Running {
  portion: number | null;
  left: number | null;
}

/** How long one item takes: as those took that are done, else as the running one goes. Both times of an item are InvokeAI's own. */
export function secondsEach(items: readonly Item[], running: readonly Running[]): number | null {
  const took = items.flatMap(({ status, started_at, completed_at }) =>
    status === "completed" && started_at !== null && completed_at !== null
      ? [(Date.parse(completed_at) - Date.parse(started_at)) / 1000]
      : [],
  );
  if (took.length > 0) return took.reduce((sum, one) => sum + one, 0) / took.length;
  const going = running.find(({ portion, left }) => left !== null && portion !== null && portion < 1);
  return going ? going.left! / (1 - going.portion!) : null;
}

/** Until what runs and then all that waits is done; `waiting` are the seconds each takes. Null where anything of it is unknown. */
export function secondsForAll(
  running: readonly (Running & { each: number | null })[],
  waiting: readonly (number | null)[],
): number | null {
  let sum = 0;
  for (const { portion, left, each } of running) {
    const rest = left ?? (each === null ? null : each * (1 - (portion ?? 0)));
    if (rest === null) return null;
    sum += rest;
  }
  for (const each of waiting) {
    if (each === null) return null;
    sum += each;
  }
  return running.length === 0 ? null : sum / running.length;
}
