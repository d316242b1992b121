import { ProgressBar } from "../components/progress";
import { Waiting } from "../photo/picture";
import { podWaitAt } from "../state/pods";
import { previewOf } from "../state/previews";
import { isAway } from "../state/server-alarm";
import { getStep } from "../state/steps";
import type { Slot } from "./developing";

interface SlotTileProps {
  slot: Slot;
  box: { top: number; left: number; width: number; height: number };
}

/** Where a photo will be: dark while it waits for its turn, then its preview. Only this redraws when a frame comes. */
export function SlotTile({ slot, box }: SlotTileProps) {
  const item = slot.live.item.value;
  const runs = item.status === "in_progress";
  const frame = previewOf(slot.live.key).value;
  const portion = slot.live.progress.value?.percentage ?? null;
  const away = isAway(item.backend_id);
  return (
    <div
      role="gridcell"
      class="tile developing-slot"
      style={{ top: `${box.top}px`, left: `${box.left}px`, width: `${box.width}px`, height: `${box.height}px` }}
      data-testid="grid-slot"
      data-state={item.status}
    >
      <span class="picture">
        {frame && <img class="behind" src={frame} alt="" />}
        {runs && away && <Waiting />}
      </span>
      <span class="hidden-text">{`${words(item.status, away ? (podWaitAt(item.backend_id) ?? "Waiting for the server") : null)}: ${getStep(item.step_id)?.value.prompt ?? ""}`}</span>
      {runs && !away && <ProgressBar portion={portion} label="Being made" />}
    </div>
  );
}

function words(status: string, wait: string | null): string {
  if (wait !== null) return wait;
  if (status === "in_progress") return "Being made";
  if (status === "pending" || status === "waiting") return "In the queue";
  return status === "completed" ? "Saving" : "Not made";
}
