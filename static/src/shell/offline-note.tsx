import { connection, reconnectNow } from "../feed/connection";
import { databaseAway } from "./health";

/** Says that what the page shows may be old. */
export function OfflineNote() {
  if (connection.value !== "offline" || databaseAway.value) return null;
  return (
    <div class="lost-note" role="alert" data-testid="offline-note">
      <span class="dot bad" />
      <span>Darkroom does not answer. It is tried again by itself.</span>
      <button type="button" class="button compact" onClick={reconnectNow}>
        Try now
      </button>
    </div>
  );
}
