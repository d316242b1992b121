import type { Backend, Model } from "../api/types";
import { isHeard } from "../feed/connection";
import { duration, hourly } from "../lib/format";
import { backends } from "../state/backends";
import { queueOn } from "../state/items";
import { isAtRest, podWait } from "../state/pods";
import { secondsLeftOfServer } from "../state/time-left";
import type { Flaw } from "./draft";

/** Of what says why a draft cannot be sent. */
export const FLAW_ID = "compose-flaw";

/** The server in a line, and Generate, which always queues and never becomes anything else. */
export function ComposeFoot({ model, flaw }: { model: Model | undefined; flaw: Flaw | null }) {
  return (
    <footer class="compose-foot">
      {flaw !== null ? (
        <p class="small bad" role="alert" id={FLAW_ID}>
          {flaw.words}
        </p>
      ) : (
        <ServerLine backendId={model?.backend_id ?? null} />
      )}
      <button type="submit" class="button primary large" title="Ctrl+Enter" data-testid="generate">
        Generate
      </button>
    </footer>
  );
}

function ServerLine({ backendId }: { backendId: string | null }) {
  const server = backends.value.find((one) => one.id === backendId);
  if (!server) return <p class="small muted">&nbsp;</p>;
  const trouble = troubleOf(server);
  if (trouble !== null) {
    return (
      <p class="small muted server-line" data-testid="server-line">
        <span class={`dot ${isHeard.value && isAtRest(server) ? "" : "bad"}`} />
        <span>{trouble}</span>
      </p>
    );
  }
  const { running, queued } = queueOn(server);
  const words = [running > 0 && `${running} running`, queued > 0 && `${queued} queued`].filter(Boolean);
  return (
    <p class="small muted server-line">
      <span class="dot ok" />
      <span class="ellipsis server-name">{server.name}</span>
      <span class="ellipsis">
        {words.length === 0 ? "idle" : words.join(", ")}
        <TimeLeft server={server} />
      </span>
    </p>
  );
}

function troubleOf(server: Backend): string | null {
  if (!isHeard.value) return "Darkroom does not answer just now";
  if (server.state === "connected") return null;
  const wait = podWait(server);
  if (wait === null) return `${server.name} is not connected: this waits until it is`;
  const price = server.pod?.cost_per_hour;
  return price && server.pod?.autostart && server.pod.state !== "failed" ? `${wait} (${hourly(price)})` : wait;
}

/** Only this redraws when a progress frame comes. */
function TimeLeft({ server }: { server: Backend }) {
  const left = secondsLeftOfServer(server.id);
  return left === null ? null : <> · about {duration(left)} left</>;
}
