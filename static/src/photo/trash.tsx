// What is said of photos in the trash, and asked before they are deleted.

import { Confirm } from "../components/dialog";
import { count } from "../lib/format";
import { useNow } from "../lib/use-now";
import { purgePhotos, type ToPurge } from "../state/photo-actions";
import { trashDays } from "../state/settings";

const MINUTE_MS = 60_000;

/** How long a photo stays in the trash; nothing where it stays. */
export function TimeLeft({ deletedAt }: { deletedAt: string }) {
  const now = useNow(MINUTE_MS);
  const words = trashDays.value === null ? null : timeLeft(deletedAt, trashDays.value, now);
  return words ? <span class="time-left small">{words}</span> : null;
}

const DAY_MS = 86_400_000;

/** How long a photo stays in the trash, in words; null where it stays until it is deleted by hand. */
export function timeLeft(deletedAt: string, days: number, now: number): string | null {
  if (days === 0) return null;
  const left = (Date.parse(deletedAt) + days * DAY_MS - now) / DAY_MS;
  // What is due goes with the next hour.
  if (left <= 0) return "Deleted soon";
  return left < 1 ? "Less than a day left" : `${count(Math.floor(left), "day")} left`;
}

/** What becomes of a photo in the trash. */
export function trashRule(days: number): string {
  if (days === 0) return "Photos in the trash stay here until you delete them.";
  return `Photos in the trash are deleted for good after ${count(days, "day")}.`;
}

interface PurgeQuestionProps {
  what: ToPurge;
  onPurge?: () => void;
  onClose: () => void;
}

/** Asked before files are deleted: that cannot be undone. */
export function PurgeQuestion({ what, onPurge, onClose }: PurgeQuestionProps) {
  const photos = what.many === null ? "all chosen photos" : count(what.many, "photo");
  return (
    <Confirm
      title={`Delete ${photos} for good?`}
      text={`${what.many === 1 ? "Its file is" : "Their files are"} deleted. This cannot be undone.`}
      action="Delete for good"
      onConfirm={() => {
        onPurge?.();
        void purgePhotos(what);
      }}
      onClose={onClose}
    />
  );
}
