import { describe, expect, test } from "vitest";
import type { Item } from "../api/types";
import { secondsEach, secondsForAll } from "./batch-time";

function made(seconds: number): Item {
  return {
    status: "completed",
    started_at: "2026-11-29T10:00:00Z",
    completed_at: new Date(Date.parse("2026-11-29T10:00:00Z") + seconds * 1000).toISOString(),
  } as unknown as Item;
}

describe("one item takes", () => {
  test("as long as those that are done", () => expect(secondsEach([made(8), made(12)], [{ portion: 0.5, left: 1 }])).toBe(10));
  test("as long as the one that runs will have taken", () => expect(secondsEach([], [{ portion: 0.25, left: 9 }])).toBe(12));
  test("that is not known", () => expect(secondsEach([], [{ portion: null, left: null }])).toBeNull());
});

describe("all of them take", () => {
  const running = { portion: 0.5, left: 4, each: 10 };
  test("what the running one still takes, and then each that waits", () => expect(secondsForAll([running], [10, 10])).toBe(24));
  test("half of it where two run at a time", () => expect(secondsForAll([running, running], [10, 10])).toBe(14));
  test("the rest of a usual one, where the running one does not say", () =>
    expect(secondsForAll([{ portion: 1, left: null, each: 10 }], [10])).toBe(10));
  test("that is not known where one of them is unknown", () => {
    expect(secondsForAll([running], [10, null])).toBeNull();
    expect(secondsForAll([{ portion: null, left: null, each: null }], [])).toBeNull();
    expect(secondsForAll([], [10])).toBeNull();
  });
});
