import { count } from "../app/format";

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
