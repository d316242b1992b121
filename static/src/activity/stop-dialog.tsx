import type { Backend, Pod } from "../api/types";
import { Dialog } from "../components/dialog";
import { notHome } from "./pod-words";

interface StopDialogProps {
  server: Backend;
  pod: Pod;
  busy: boolean;
  onStop: () => void;
  onClose: () => void;
}

/** Asked where a pod shall stop although not all that it made is home. */
export function StopDialog({ server, pod, busy, onStop, onClose }: StopDialogProps) {
  const { waiting, failed, expected, made } = server.ledger;
  const left = notHome(server.ledger);
  return (
    <Dialog title={`Stop ${server.name}?`} onClose={onClose}>
      <div class="stop-dialog" data-testid="stop-dialog">
        <p>{left.length > 0 ? "Not all that it made is home." : "All that it made is home."}</p>
        <dl class="stop-ledger">
          <Count word="Waiting" value={waiting} tone="warn" />
          <Count word="Failed" value={failed} tone="bad" />
          <Count word="Expected" value={Math.max(0, expected - made)} tone="warn" />
        </dl>
        <ul class="small muted">
          {left.map((words) => (
            <li key={words}>{words}</li>
          ))}
        </ul>
        {(left.length > 0 || pod.asks_root) && (
          <p class="small">
            {pod.asks_root
              ? "Whether InvokeAI's folder on it survives a stop is not known: if it does not, what is there alone is lost for good."
              : "It stays on the pod's disk and comes home when the pod runs again. If the pod never gets a GPU again or its provider deletes it, this is lost for good."}
          </p>
        )}
      </div>
      <div class="dialog-actions">
        <button type="button" class="button quiet" autofocus onClick={onClose}>
          Let it run
        </button>
        <button
          type="button"
          class="button danger"
          disabled={busy}
          onClick={(event) => {
            // The second press of a double click on Stop is no answer.
            if (event.detail <= 1) onStop();
          }}
        >
          Stop anyway
        </button>
      </div>
    </Dialog>
  );
}

function Count({ word, value, tone }: { word: string; value: number; tone: string }) {
  return (
    <div>
      <dt class="label">{word}</dt>
      <dd class={value > 0 ? tone : "muted"}>{value}</dd>
    </div>
  );
}
