import { connection, reconnectNow } from "../feed/connection";
import { databaseAway } from "./health";

/** Says that what the page shows may be old, or comes late. What a screen reader follows stands there from the start. */
export function FeedNote() {
  return (
    <>
      <div role="status" aria-live="polite">
        {connection.value === "polling" && (
          <p class="polling-note small" data-testid="polling-note">
            Live updates are blocked by a proxy; this page asks every few seconds instead.
          </p>
        )}
      </div>
      {connection.value === "offline" && !databaseAway.value && (
        <div class="lost-note" role="alert" data-testid="offline-note">
          <span class="dot bad" />
          <span>Darkroom does not answer. It is tried again by itself.</span>
          <button type="button" class="button compact" onClick={reconnectNow}>
            Try now
          </button>
        </div>
      )}
    </>
  );
}
