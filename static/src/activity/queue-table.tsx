import { Link } from "wouter-preact";
import type { ItemStatus } from "../api/types";
import { count, duration } from "../app/format";
import { backendName, backends } from "../state/backends";
import { type LiveItem, liveItems } from "../state/items";
import { isAway } from "../state/server-alarm";
import { getStep } from "../state/steps";
import { secondsLeft } from "../state/time-left";
import { type Column, Table } from "./table";

const WORDS: Partial<Record<ItemStatus, string>> = { pending: "In the queue", waiting: "Waiting", in_progress: "Running" };

const COLUMNS: Column<LiveItem>[] = [
  { name: "Item", by: (live) => live.item.value.item_id, cell: (live) => <span class="mono">{live.item.value.item_id}</span> },
  { name: "What", by: what, cell: (live) => <What live={live} />, class: "wide" },
  {
    name: "Server",
    by: (live) => backendName(live.item.value.backend_id),
    cell: (live) => backendName(live.item.value.backend_id),
  },
  { name: "State", cell: (live) => <State live={live} /> },
];

/** Everything that waits or runs, on every server, in the order it runs. */
export function QueueTable() {
  const live = liveItems.value;
  const others = backends.value.reduce((sum, { queue }) => sum + queue.pending + queue.in_progress - queue.ours, 0);
  // InvokeAI does not name what others have queued before it runs.
  const unnamed = others - live.filter((one) => one.item.value.step_id === null).length;
  return (
    <section class="card" data-testid="queue">
      <h2>Queue</h2>
      {live.length > 0 ? (
        <Table label="Queue" columns={COLUMNS} rows={live} rowKey={(one) => one.key} />
      ) : (
        unnamed <= 0 && <p class="muted">Nothing waits and nothing runs.</p>
      )}
      {unnamed > 0 && <p class="small muted">{count(unnamed, "item")} from elsewhere in the queue</p>}
    </section>
  );
}

function what(live: LiveItem): string {
  return getStep(live.item.value.step_id)?.value.prompt ?? "";
}

function What({ live }: { live: LiveItem }) {
  const step = getStep(live.item.value.step_id)?.value;
  if (!step) return <span class="muted">{live.item.value.step_id ? "From the studio" : "From InvokeAI's own page"}</span>;
  return (
    <Link class="ellipsis" href={`/studio/${step.session_id}/${step.id}`}>
      {step.prompt}
    </Link>
  );
}

function State({ live }: { live: LiveItem }) {
  const progress = live.progress.value;
  const { status, backend_id } = live.item.value;
  if (status === "in_progress" && isAway(backend_id)) return <>Waiting for the server</>;
  if (status !== "in_progress" || progress?.percentage == null) return <>{WORDS[status] ?? status}</>;
  const seconds = secondsLeft(live);
  const left = seconds === null ? "" : `, ${duration(seconds)} left`;
  return <>{`${Math.round(progress.percentage * 100)} %${left}`}</>;
}
