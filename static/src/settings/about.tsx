import { useEffect, useState } from "preact/hooks";
import { answerOf, api } from "../api/client";
import type { Status, TaskReport } from "../api/types";
import { type Column, Table } from "../components/table";
import { below } from "../lib/base";
import { ago, count, reasonOf } from "../lib/format";

const COLUMNS: Column<TaskReport>[] = [
  { name: "Task", by: (task) => task.name, cell: (task) => task.name },
  { name: "State", by: (task) => task.state, cell: (task) => task.state },
  { name: "Last run", by: (task) => task.last_run ?? "", cell: (task) => (task.last_run ? ago(task.last_run) : "not yet") },
  {
    name: "Last result",
    class: "wide",
    cell: (task) =>
      task.last_result === "failed" ? <span class="bad">{task.last_error ?? "failed"}</span> : (task.last_result ?? ""),
  },
  { name: "Restarts", by: (task) => task.restarts, cell: (task) => task.restarts },
];

function summary(tasks: readonly TaskReport[]): string {
  const failed = tasks.filter((task) => task.last_result === "failed").length;
  return failed === 0 ? `${count(tasks.length, "task")}, all well` : `${count(tasks.length, "task")}, ${failed} in trouble`;
}

/** How far the background pass over all photos has come. */
function checked(pass: Status["photo_pass"]): string {
  if (pass.stopped_by !== null) return `Files are not checked just now: ${pass.stopped_by}.`;
  if (pass.began_at === null) return "Files are checked from the first minute after a start on.";
  const found = pass.damaged + pass.missing;
  const last = pass.completed_at === null ? "" : ` The last check of all of them ended ${ago(pass.completed_at)}.`;
  return (
    `Files checked: ${pass.looked_at} of about ${Math.max(pass.estimated, pass.looked_at)}` +
    (found === 0 ? ", none damaged or missing." : `, ${found} damaged or missing.`) +
    last
  );
}

/** Which Darkroom this is, and how its parts are doing. */
export function About() {
  const [status, setStatus] = useState<Status | null>(null);
  const [error, setError] = useState<string | null>(null);
  useEffect(() => {
    const abort = new AbortController();
    answerOf(api.GET("/api/v1/status", { signal: abort.signal }))
      .then(setStatus)
      .catch((failure: unknown) => {
        if (!abort.signal.aborted) setError(reasonOf(failure));
      });
    return () => abort.abort();
  }, []);
  return (
    <section class="card">
      <h2>About</h2>
      {error !== null && <p class="bad">{error}</p>}
      {status && (
        <>
          <p>
            Darkroom {status.version} · <a href={below("/api/docs")}>API</a>
          </p>
          <p class="small muted" data-testid="photo-pass">
            {checked(status.photo_pass)}
          </p>
          <details>
            <summary class="muted">{summary(status.tasks)}</summary>
            <Table label="Tasks" columns={COLUMNS} rows={status.tasks} rowKey={(task) => task.name} />
          </details>
        </>
      )}
    </section>
  );
}
