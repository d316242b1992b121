import { useLocation } from "wouter-preact";
import { Icon } from "../components/icon";
import { Unplug } from "../components/icons";
import { Ring } from "../components/progress";
import { duration } from "../lib/format";
import { backendName, backends } from "../state/backends";
import { type LiveItem, liveItems, progressWords, queueOn, runningItems, shownInPlace } from "../state/items";
import { previewOf } from "../state/previews";
import { isAway } from "../state/server-alarm";
import { getStep } from "../state/steps";
import { secondsLeft } from "../state/time-left";

const SHOWN = 5;

/** What is being made right now and the page itself does not show; hidden when there is none. */
export function Tray() {
  const [path, navigate] = useLocation();
  const running = runningItems.value.filter((live) => !isShown(live, path));
  if (running.length === 0) return null;
  const queued = queuedElsewhere(path);
  const beyond = running.length - SHOWN;
  return (
    <aside class="tray" aria-label="Being made now" data-testid="tray">
      {running.slice(0, SHOWN).map((live) => (
        <TrayTile key={live.key} live={live} go={navigate} />
      ))}
      {beyond > 0 && (
        <button type="button" class="tray-more" onClick={() => navigate("/activity")} aria-label={`${beyond} more being made`}>
          +{beyond}
        </button>
      )}
      {queued > 0 && (
        <button type="button" class="tray-queued" onClick={() => navigate("/activity")} data-testid="tray-queued">
          +{queued} queued
        </button>
      )}
    </aside>
  );
}

/** What waits, other people's too. */
function queuedElsewhere(path: string): number {
  const all = backends.value.reduce((sum, server) => sum + queueOn(server).queued, 0);
  const shown = liveItems.value.filter((live) => live.item.value.status === "pending" && isShown(live, path));
  return all - shown.length;
}

function isShown(live: LiveItem, path: string): boolean {
  const step = getStep(live.item.value.step_id)?.value;
  return (
    path === "/activity" ||
    shownInPlace.value.has(live.key) ||
    (step !== undefined && path.startsWith(`/studio/${step.session_id}`))
  );
}

function TrayTile({ live, go }: { live: LiveItem; go: (to: string) => void }) {
  const item = live.item.value;
  const progress = live.progress.value;
  const frame = previewOf(live.key).value;
  const step = getStep(item.step_id)?.value;
  const away = isAway(item.backend_id);
  const seconds = secondsLeft(live);
  const left = seconds === null ? null : duration(seconds);
  const words = [
    progress?.percentage == null ? null : progressWords(progress),
    away ? "waiting for the server" : progress?.percentage === 1 ? null : (progress?.message ?? "starting"),
    left && `${left} left`,
  ];
  const name = `${step ? step.prompt : `Work on ${backendName(item.backend_id)}`}: ${words.filter(Boolean).join(", ")}`;
  return (
    <button
      type="button"
      class={`tray-tile ${away ? "away" : ""}`}
      data-testid="tray-tile"
      aria-label={name}
      title={name}
      onClick={() => go(step ? `/studio/${step.session_id}/${step.id}` : "/activity")}
    >
      {frame && <img src={frame} alt="" />}
      {away ? <Icon of={Unplug} /> : <Ring portion={progress?.percentage ?? null} />}
      {left && <span class="left">{left}</span>}
    </button>
  );
}
