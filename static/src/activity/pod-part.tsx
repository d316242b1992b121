import { useState } from "preact/hooks";
import { ApiError, answerOf, api } from "../api/client";
import type { Backend, BackendLedger, Pod } from "../api/types";
import { Icon } from "../components/icon";
import { CircleAlert, Play, Square } from "../components/icons";
import { dateTime, reasonOf } from "../lib/format";
import { toast } from "../lib/toasts";
import { useNow } from "../lib/use-now";
import { backends, putBackend } from "../state/backends";
import { uncapitalised } from "../state/pods";
import { clockWords, moneyParts, podSentence } from "./pod-words";
import { RootQuestion } from "./root-question";
import { StopDialog } from "./stop-dialog";
import { sentence } from "./words";

/** How a server's pod stands, what it costs, when it is stopped; Start and Stop. */
export function PodPart({ server, pod }: { server: Backend; pod: Pod }) {
  const now = useNow(1_000);
  return (
    <section class="pod" aria-label={`Pod of ${server.name}`}>
      <Orders server={server} pod={pod} />
      {/* Read aloud when the state changes, not each time the clock goes on. */}
      <span class="hidden-text" role="status">
        {`${server.name}: ${pod.state === "unknown" ? "not known" : pod.state}${pod.words === null ? "" : `, ${pod.words}`}`}
      </span>
      <p class="pod-state" data-testid="pod-state" title={pod.since === null ? undefined : dateTime(pod.since)}>
        {podSentence(pod, now)}
      </p>
      <p class="small muted pod-clock" data-testid="pod-clock">
        {clockWords(pod, now)}
      </p>
      <p class="pod-money" data-testid="pod-money">
        {moneyParts(pod).map((part) => (
          <span key={part.replace(/[\d.,]+/, "")}>{part}</span>
        ))}
      </p>
      {pod.stopped_costs !== null && <p class="small muted pod-stopped-costs">{sentence(pod.stopped_costs)}</p>}
      {pod.alarm !== null && (
        <p class="pod-alarm" role="alert" data-testid="pod-alarm">
          <Icon of={CircleAlert} />
          <span>{sentence(pod.alarm)}</span>
        </p>
      )}
      {pod.stop_refused !== null && (
        <p class="small warn pod-refused" data-testid="pod-refused">
          Not stopped: {pod.stop_refused}
        </p>
      )}
      {pod.asks_root && <RootQuestion server={server} />}
    </section>
  );
}

type Order = "start" | "stop";

/** One that runs without our order is taken over by it; a stop that was not ordered yet is taken back. */
function canStart({ state, wanted }: Pod): boolean {
  return wanted !== "running" && state !== "starting" && state !== "stopping";
}

/** One that will not stop may be told again. */
function canStop({ state, wanted, alarm }: Pod): boolean {
  if (state === "stopping" || wanted === "stopped") return alarm !== null;
  return (state !== "stopped" && state !== "failed") || wanted === "running";
}

/** Two buttons, each with its own place: what is under the pointer stays what it was. */
function Orders({ server, pod }: { server: Backend; pod: Pod }) {
  const [busy, setBusy] = useState<Order | null>(null);
  const [asking, ask] = useState(false);

  async function order(which: Order, confirm = false) {
    setBusy(which);
    try {
      const path = { backend_id: server.id };
      if (which === "start") putBackend(await answerOf(api.POST("/api/v1/backends/{backend_id}/start", { params: { path } })));
      else putBackend(await answerOf(api.POST("/api/v1/backends/{backend_id}/stop", { params: { path, query: { confirm } } })));
      ask(false);
    } catch (failure) {
      const ledger = which === "stop" && !confirm ? ledgerOf(failure) : null;
      if (ledger) {
        // Beside it, the feed may have told more since.
        putBackend({ ...(backends.peek().find(({ id }) => id === server.id) ?? server), ledger });
        ask(true);
      } else toast(`${server.name} was not told to ${which}: ${uncapitalised(reasonOf(failure))}.`, { tone: "bad" });
    }
    setBusy(null);
  }

  return (
    <div class="pod-orders">
      <OrderButton
        icon={Play}
        word="Start"
        name={server.name}
        possible={canStart(pod) && !busy}
        onPress={() => void order("start")}
      />
      <OrderButton
        icon={Square}
        word="Stop"
        name={server.name}
        possible={canStop(pod) && !busy}
        onPress={() => void order("stop")}
      />
      {asking && (
        <StopDialog
          server={server}
          pod={pod}
          busy={busy !== null}
          onStop={() => void order("stop", true)}
          onClose={() => ask(false)}
        />
      )}
    </div>
  );
}

/** What is not home, where that is why it was not stopped. */
function ledgerOf(failure: unknown): BackendLedger | null {
  if (!(failure instanceof ApiError) || failure.status !== 409 || failure.details === null) return null;
  const details = failure.details as { ledger?: BackendLedger } & BackendLedger;
  const ledger = details.ledger ?? details;
  return typeof ledger.waiting === "number" ? ledger : null;
}

interface OrderProps {
  icon: typeof Play;
  word: string;
  name: string;
  possible: boolean;
  onPress: () => void;
}

/** Keeps the focus while it is not possible. */
function OrderButton({ icon, word, name, possible, onPress }: OrderProps) {
  return (
    <button
      type="button"
      class="button"
      aria-label={`${word} ${name}`}
      aria-disabled={!possible}
      onClick={(event) => {
        if (possible && event.detail <= 1) onPress();
      }}
    >
      <Icon of={icon} />
      {word}
    </button>
  );
}
