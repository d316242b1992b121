import { isHeard } from "../feed/connection";
import { backends } from "./backends";
import type { LiveItem } from "./items";

/** What InvokeAI last said an item still takes; null once nothing is heard from it, or it says that nothing runs. */
export function secondsLeft({ item, progress }: LiveItem): number | null {
  const server = backends.value.find((one) => one.id === item.value.backend_id);
  const heard = isHeard.value && server?.state === "connected" && server.queue.in_progress > 0;
  return heard ? (progress.value?.eta_seconds ?? null) : null;
}
