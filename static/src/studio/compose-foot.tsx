import type { Backend, Model } from "../api/types";
import { duration } from "../app/format";
import { isHeard } from "../feed/connection";
import { backends } from "../state/backends";
import { queueOn } from "../state/items";
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
      <p class="small muted server-line">
        <span class="dot bad" />
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
  return server.state === "connected" ? null : `${server.name} is not connected: this waits until it is`;
}

/** Only this redraws when a progress frame comes. */
function TimeLeft({ server }: { server: Backend }) {
  const left = secondsLeftOfServer(server.id);
  return left === null ? null : <> · about {duration(left)} left</>;
}
