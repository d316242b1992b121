import { useNow } from "../app/use-now";
import { trashDays } from "../state/settings";
import { timeLeft } from "./trash-words";

const MINUTE_MS = 60_000;

/** How long a photo stays in the trash; nothing where it stays. */
export function TimeLeft({ deletedAt }: { deletedAt: string }) {
  const now = useNow(MINUTE_MS);
  const words = trashDays.value === null ? null : timeLeft(deletedAt, trashDays.value, now);
  return words ? <span class="time-left small">{words}</span> : null;
}
