import { useEffect, useRef, useState } from "preact/hooks";
import { Link } from "wouter-preact";
import { type Column, Table } from "../components/table";
import { count, duration } from "../lib/format";
import { backendName, backends } from "../state/backends";
import { liveItems, progressWords } from "../state/items";
import { podWaitAt } from "../state/pods";
import { isAway } from "../state/server-alarm";
import { getStep } from "../state/steps";
import { secondsLeft, secondsLeftOfStep } from "../state/time-left";
import { cancelStep, isCanceling } from "../studio/step-actions";
import { groupItems, inHeldRows, type QueueGroup } from "./queue-groups";

const LET_GO_MS = 1_000;

// Not to be sorted: it is the order in which things run.
const COLUMNS: Column<QueueGroup>[] = [
  { name: "What", cell: (group) => <What group={group} />, class: "wide" },
  { name: "Left", cell: (group) => (group.over ? 0 : group.live.length) },
  { name: "Server", cell: (group) => backendName(group.backend) },
  { name: "State", cell: (group) => <State group={group} /> },
  { name: "Cancel", cell: (group) => <Cancel group={group} />, class: "action" },
];

/** Everything that waits or runs, on every server, in the order it runs; what a step or batch still lacks is one row. */
export function QueueTable() {
  const live = liveItems.value;
  const others = backends.value.reduce((sum, { queue }) => sum + queue.pending + queue.in_progress - queue.ours, 0);
  // InvokeAI does not name what others have queued before it runs.
  const unnamed = others - live.filter((one) => one.item.value.step_id === null).length;
  const [held, hold, letGo] = useHeld();
  const shown = useRef<QueueGroup[]>([]);
  const groups = groupItems(live);
  shown.current = held ? inHeldRows(shown.current, groups) : groups;
  return (
    <section class="card" data-testid="queue" onPointerEnter={hold} onPointerLeave={letGo}>
      <h2>Queue</h2>
      {shown.current.length > 0 ? (
        <Table label="Queue" columns={COLUMNS} rows={shown.current} rowKey={(group) => group.key} />
      ) : (
        unnamed <= 0 && <p class="muted">Nothing waits and nothing runs.</p>
      )}
      {unnamed > 0 && <p class="small muted">{count(unnamed, "item")} from elsewhere in the queue</p>}
    </section>
  );
}

/** While the pointer is over the table, and a moment longer for a finger, rows stay: another's Cancel must not come under it. */
function useHeld(): [boolean, () => void, () => void] {
  const [held, setHeld] = useState(false);
  const timer = useRef<ReturnType<typeof setTimeout>>();
  useEffect(() => () => clearTimeout(timer.current), []);
  const hold = () => {
    clearTimeout(timer.current);
    setHeld(true);
  };
  const letGo = () => {
    clearTimeout(timer.current);
    timer.current = setTimeout(() => setHeld(false), LET_GO_MS);
  };
  return [held, hold, letGo];
}

function What({ group }: { group: QueueGroup }) {
  const step = getStep(group.step)?.value;
  if (!step) return <span class="muted">{group.step ? "From the studio" : "From InvokeAI's own page"}</span>;
  return (
    <Link class="ellipsis" href={`/studio/${step.session_id}/${step.id}`}>
      {step.prompt}
    </Link>
  );
}

/** Only this redraws when a progress frame comes. */
function State({ group }: { group: QueueGroup }) {
  if (group.over) return <>Ended</>;
  const running = group.live.find((live) => live.item.value.status === "in_progress");
  if (!running) return <>{isAway(group.backend) ? waitingWords(group.backend) : "In the queue"}</>;
  if (isAway(group.backend)) return <>{waitingWords(group.backend)}</>;
  const seconds = group.step === null ? secondsLeft(running) : secondsLeftOfStep(group.step);
  return <>{`${progressWords(running.progress.value)}${seconds === null ? "" : `, about ${duration(seconds)} left`}`}</>;
}

function waitingWords(backend: string): string {
  return podWaitAt(backend) ?? "Waiting for the server";
}

/** Other people's work is theirs to cancel, in InvokeAI. */
function Cancel({ group }: { group: QueueGroup }) {
  const step = getStep(group.step)?.value;
  if (!step || group.over) return null;
  const asked = step.cancel_requested_at !== null || isCanceling(step.id);
  return (
    <button
      type="button"
      class="button compact"
      aria-label={`${asked ? "Canceling" : "Cancel"} “${step.prompt}”`}
      aria-disabled={asked}
      onClick={() => {
        if (!asked) void cancelStep(step.id);
      }}
    >
      {asked ? "Canceling…" : "Cancel"}
    </button>
  );
}
