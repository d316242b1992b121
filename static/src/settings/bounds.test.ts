import { describe, expect, it } from "vitest";
import type { Setting } from "../api/types";
import { boundsWords, defaultWords, numberOf } from "./bounds";

const days: Setting = {
  name: "trash_days",
  title: "Trash is kept for",
  help: "",
  type: "integer",
  unit: "days",
  minimum: 0,
  maximum: 36_500,
  default: 30,
  value: 30,
};
const patrol: Setting = { ...days, type: "number", minimum: 0.0005, maximum: null };

describe("the bounds of a setting", () => {
  it("are said before anything is sent", () => {
    expect(boundsWords(days)).toBe("A whole number from 0 to 36500.");
    expect(boundsWords(patrol)).toBe("A number from 0.0005.");
    expect(boundsWords({ ...patrol, minimum: null, maximum: 5 })).toBe("A number up to 5.");
  });

  it("hold for what is typed", () => {
    expect(numberOf("0", days)).toBe(0);
    expect(numberOf("36500", days)).toBe(36_500);
    for (const text of ["", " ", "-1", "36501", "1.5", "x", "1e99", "Infinity"]) expect(numberOf(text, days)).toBeNull();
    expect(numberOf("0.0005", patrol)).toBe(0.0005);
    expect(numberOf("0.0004", patrol)).toBeNull();
  });
});

it("says a default with its unit", () => {
  expect(defaultWords(days)).toBe("30 days");
  expect(defaultWords({ ...days, type: "boolean", unit: null, default: true })).toBe("on");
});
