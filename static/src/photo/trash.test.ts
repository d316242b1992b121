import { expect, it } from "vitest";
import { timeLeft, trashRule } from "./trash";

const TRASHED = "2026-11-01T12:00:00Z";

it.each([
  ["2026-11-01T12:00:00Z", 30, "30 days left"],
  ["2026-11-01T12:00:01Z", 30, "29 days left"],
  ["2026-11-29T13:00:00Z", 30, "1 day left"],
  ["2026-11-30T13:00:00Z", 30, "Less than a day left"],
  ["2026-12-01T12:00:00Z", 30, "Deleted soon"],
  ["2030-01-01T00:00:00Z", 0, null],
])("at %s, kept for %s days: %s", (now, days, words) => {
  expect(timeLeft(TRASHED, days, Date.parse(now))).toBe(words);
});

it("says what becomes of a photo in the trash", () => {
  expect(trashRule(1)).toContain("after 1 day.");
  expect(trashRule(30)).toContain("after 30 days.");
  expect(trashRule(0)).toContain("until you delete them");
});
