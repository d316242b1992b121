import { describe, expect, test } from "vitest";
import { FirstReadings } from "./first-readings";

describe("what was read before the feed was open", () => {
  test("is not read again where nothing happened between", () => {
    const readings = new FirstReadings();
    readings.read("epoch:7");
    readings.read("epoch:7");
    expect(readings.opened("epoch", 7)).toBe(false);
  });

  test.each([["epoch:6"], ["another:7"], ["epoch:"], [null]])("is read again if it is from %s", (position) => {
    const readings = new FirstReadings();
    readings.read(position);
    readings.read("epoch:7");
    expect(readings.opened("epoch", 7)).toBe(true);
  });

  test("is read again if it comes after the feed and is older", () => {
    const readings = new FirstReadings();
    expect(readings.opened("epoch", 7)).toBe(false);
    expect(readings.read("epoch:8")).toBe(false);
    expect(readings.read("epoch:6")).toBe(true);
    expect(readings.read(null)).toBe(true);
  });
});
