import { expect, test } from "vitest";
import { bytes, count, duration, hourly, lasting, money } from "./format";

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

test.each([
  [-5, "0 s"],
  [59.9, "59 s"],
  [119, "1 min"],
  [3600, "1 h"],
  [3900, "1 h 5 min"],
  [47 * 3600, "47 h"],
  [50 * 3600, "2 days"],
])("%d seconds that go on are said as %s", (seconds, words) => expect(lasting(seconds)).toBe(words));

test("money is in dollars and cents, and a little of it is not nothing", () => {
  expect([money(12.4), money(0), money(0.004), money(1234.5)]).toEqual(["$12.40", "$0.00", "under $0.01", "$1,234.50"]);
  expect([hourly(0.69), hourly(0.345), hourly(0.0002)]).toEqual(["$0.69/h", "$0.345/h", "under $0.001/h"]);
});
