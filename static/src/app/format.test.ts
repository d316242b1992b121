import { expect, test } from "vitest";
import { bytes, count, duration } from "./format";

test.each([
  [0.2, "1 s"],
  [59.1, "1 min"],
  [80, "1 min 20 s"],
  [3600, "1 h"],
  [7500, "2 h 5 min"],
])("%d seconds are said as %s", (seconds, words) => expect(duration(seconds)).toBe(words));

test("one is counted in the singular, all else in the plural", () => {
  expect([count(0, "photo"), count(1, "photo"), count(2, "photo"), count(3, "copy", "copies")]).toEqual([
    "0 photos",
    "1 photo",
    "2 photos",
    "3 copies",
  ]);
});

test("sizes are given in the unit a person would choose", () => {
  expect([bytes(999), bytes(1_500), bytes(2_340_000)]).toEqual(["999 B", "2 KB", "2.3 MB"]);
});
