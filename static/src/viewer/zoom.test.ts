import { describe, expect, it } from "vitest";
import { closeLevel, fitLevel, panFor, viewOf } from "./zoom";

describe("the level of a picture", () => {
  it("fits the area by the side that is tighter, enlarging a small picture", () => {
    expect(fitLevel({ x: 2000, y: 1000 }, { x: 1000, y: 900 })).toBe(0.5);
    expect(fitLevel({ x: 512, y: 512 }, { x: 1440, y: 768 })).toBe(1.5);
  });

  it("goes from the fitting picture to 100 %, and further where that would look the same", () => {
    expect(closeLevel(0.5)).toBe(1);
    expect(closeLevel(1.5)).toBe(1);
    expect(closeLevel(0.98)).toBe(2);
  });
});

describe("a view that is kept", () => {
  const middle = { x: 720, y: 450 };

  it("shows the same part of a picture of the same size", () => {
    const pan = { x: -300, y: -80 };
    const view = viewOf({ x: 1024, y: 768 }, 2, pan, middle);
    expect(panFor({ x: 1024, y: 768 }, view, middle)).toEqual(pan);
  });

  it("shows the corresponding part of a picture of another size, at the same level", () => {
    const view = viewOf({ x: 1000, y: 1000 }, 2, { x: 720 - 500, y: 450 - 1500 }, middle);
    expect(view.middle).toEqual({ x: 0.25, y: 0.75 });
    expect(panFor({ x: 2000, y: 400 }, view, middle)).toEqual({ x: 720 - 1000, y: 450 - 600 });
  });
});
