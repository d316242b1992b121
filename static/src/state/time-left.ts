// How long items, steps and servers still take.

import { isHeard } from "../feed/connection";
import { backends } from "./backends";
import { secondsEach, secondsForAll } from "./batch-time";
import { type LiveItem, liveItems, secondsOfLast } from "./items";
import { getStep } from "./steps";

/** What InvokeAI last said an item still takes; null once nothing is heard from it, or it says that nothing runs. */
export function secondsLeft({ item, progress }: LiveItem): number | null {
  if (!isWorking(item.value.backend_id) || progress.value?.percentage === 1) return null;
  return progress.value?.eta_seconds ?? null;
}

function isWorking(backendId: string): boolean {
  const server = backends.value.find((one) => one.id === backendId);
  return isHeard.value && server?.state === "connected" && server.queue.in_progress > 0;
}

/** Until this step's last item is done, with what runs before it; null where that is not known. */
export function secondsLeftOfStep(stepId: string): number | null {
  const own = liveItems.value.filter((live) => live.item.value.step_id === stepId);
  const last = own.at(-1)?.item.value;
  if (!last || !isWorking(last.backend_id)) return null;
  return secondsUntil(last.backend_id, last.item_id);
}

/** Until all is done that this server is known to have. */
export function secondsLeftOfServer(backendId: string): number | null {
  return isWorking(backendId) ? secondsUntil(backendId, Infinity) : null;
}

/** Items run in the order of their numbers. */
function secondsUntil(backendId: string, lastItem: number): number | null {
  const all = liveItems.value.filter(({ item: { value: item } }) => item.backend_id === backendId);
  const running = all
    .filter((live) => live.item.value.status === "in_progress")
    .map((live) => ({
      step: live.item.value.step_id,
      portion: live.progress.value?.percentage ?? null,
      left: live.progress.value?.eta_seconds ?? null,
    }));
  const secondsByStep = new Map<string | null, number | null>();
  const eachOf = (step: string | null): number | null => {
    if (!secondsByStep.has(step)) {
      const items = getStep(step)?.value.items ?? [];
      const ownRunning = running.filter((one) => one.step === step);
      secondsByStep.set(step, secondsEach(items, ownRunning) ?? secondsEach([], running) ?? secondsOfLast(backendId));
    }
    return secondsByStep.get(step)!;
  };
  const waiting = all.filter(({ item: { value: item } }) => item.status !== "in_progress" && item.item_id <= lastItem);
  return secondsForAll(
    running.map((one) => ({ ...one, each: eachOf(one.step) })),
    waiting.map((live) => eachOf(live.item.value.step_id)),
  );
}
