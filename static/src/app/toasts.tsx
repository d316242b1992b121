import type { BulkProgress } from "../api/types";
import { Icon, IconButton } from "../components/icon";
import { CircleAlert, X } from "../components/icons";
import { ProgressBar } from "../components/progress";
import { number } from "../lib/format";
import { dismiss, hold, letGo, toasts } from "../lib/toasts";
import { bulkProgress } from "../state/bulk-progress";

export function Toasts() {
  return (
    <div class="toasts" role="region" aria-label="Messages" aria-live="polite">
      {bulkProgress.value.map((one) => (
        <BulkLine key={one.id} progress={one} />
      ))}
      {toasts.value.map((one) => (
        <div
          key={one.id}
          class={`toast ${one.tone}`}
          role={one.tone === "bad" ? "alert" : "status"}
          data-testid="toast"
          onPointerEnter={() => hold(one.id)}
          onPointerLeave={(event) => event.currentTarget.contains(document.activeElement) || letGo(one.id)}
          onFocusCapture={() => hold(one.id)}
          onBlurCapture={(event) => event.currentTarget.matches(":hover") || letGo(one.id)}
        >
          {one.tone === "bad" && <Icon of={CircleAlert} />}
          <span>{one.text}</span>
          {one.action && (
            <button
              type="button"
              class="button quiet compact"
              title={one.action.keys && `${one.action.label} (${one.action.keys})`}
              onClick={() => {
                dismiss(one.id);
                one.action!.run();
              }}
            >
              {one.action.label}
            </button>
          )}
          {one.tone === "bad" && <IconButton icon={X} label="Dismiss" onClick={() => dismiss(one.id)} />}
        </div>
      ))}
    </div>
  );
}

const DOING: Record<BulkProgress["action"], string> = {
  trash: "Moving to the trash",
  restore: "Restoring",
  purge: "Deleting for good",
  retry: "Trying again",
  favorite: "Adding to the favourites",
  unfavorite: "Removing from the favourites",
  rate: "Rating",
  pick: "Flagging",
  tag: "Tagging",
  untag: "Removing tags",
  add_to_album: "Adding to the album",
  remove_from_album: "Removing from the album",
  undo: "Undoing",
};

/** Said once, not at every step: a reader is not told of each number. */
function BulkLine({ progress: { action, done, total } }: { progress: BulkProgress }) {
  return (
    <div class="toast bulk-progress" data-testid="bulk-progress" aria-live="off">
      <span>{DOING[action]}</span>
      <ProgressBar portion={total && done / total} label={DOING[action]} />
      <span class="small muted numbers">{total === null ? number(done) : `${number(done)} of ${number(total)}`}</span>
    </div>
  );
}
