import type { Backend, Model } from "../api/types";
import { duration } from "../app/format";
import { isHeard } from "../feed/connection";
import { backends } from "../state/backends";
import { runningItems } from "../state/items";
import type { StepState } from "../state/steps";
import { secondsLeft } from "../state/time-left";
import { canCancel, cancelByClick } from "./step-actions";

interface FootProps {
  model: Model | undefined;
  flaw: string | null;
  /** The chosen step while it is being made. */
  live: StepState | null;
  busy: boolean;
}

/**
 * The server in a line, and the one button: Cancel stands where Generate stood. Both are one element, which is never
 * `disabled`, so that it keeps the focus.
 */
export function ComposeFoot({ model, flaw, live, busy }: FootProps) {
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: the keys pressed on its buttons pass through it
    <footer
      class="compose-foot"
      onKeyDown={(event) => {
        // An Enter that is held down is one press, whatever the button has become meanwhile.
        if (event.repeat && event.key === "Enter") event.preventDefault();
      }}
    >
      {flaw !== null ? (
        <p class="small bad" role="alert">
          {flaw}
        </p>
      ) : (
        <ServerLine backendId={live?.backend_id ?? model?.backend_id ?? null} />
      )}
      {live ? (
        <button
          type="button"
          class="button large cancel"
          aria-disabled={!canCancel(live)}
          onClick={(event) => cancelByClick(event, live)}
          data-testid="cancel"
        >
          {live.cancel_requested_at === null ? "Cancel" : "Canceling…"}
        </button>
      ) : (
        <button
          type="submit"
          class="button primary large"
          aria-disabled={busy}
          title="Ctrl+Enter"
          onClick={(event) => {
            // The rest of a double click on Cancel.
            if (event.detail > 1) event.preventDefault();
          }}
          data-testid="generate"
        >
          Generate
        </button>
      )}
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
  const ahead = server.queue.pending + server.queue.in_progress;
  return (
    <p class="small muted server-line">
      <span class="dot ok" />
      <span class="ellipsis">
        {server.name} · {ahead === 0 ? "idle" : `${ahead} in the queue`}
        <TimeLeft backendId={server.id} />
      </span>
    </p>
  );
}

function troubleOf(server: Backend): string | null {
  if (!isHeard.value) return "Darkroom does not answer just now";
  return server.state === "connected" ? null : `${server.name} is not connected: this waits until it is`;
}

/** Of the item that runs now. */
function TimeLeft({ backendId }: { backendId: string }) {
  const running = runningItems.value.find((live) => live.item.value.backend_id === backendId);
  const left = running ? secondsLeft(running) : null;
  return left === null ? null : <> · this one {duration(left)}</>;
}
