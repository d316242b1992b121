import { expect, test } from "vitest";
import { firstView, fitView, kept, revealed, zoomed } from "./view";

const WINDOW = { width: 1000, height: 600 };

test("a family that fits stands in the middle and is not enlarged", () => {
  expect(fitView({ width: 400, height: 200 }, WINDOW)).toEqual({ scale: 1, x: 300, y: 200 });
  expect(fitView({ width: 2000, height: 600 }, WINDOW)).toEqual({ scale: 0.5, x: 0, y: 150 });
});

test("one too large to be told apart opens at its photo, and never beyond its edge", () => {
  const about = { x: 24, y: 15_000, width: 100, height: 100 };
  const { scale, x, y } = firstView({ width: 2000, height: 30_000 }, WINDOW, about);
  expect(x).toBe((1000 - 2000 * scale) / 2);
  expect(15_050 * scale + y).toBeCloseTo(300);
  expect(firstView({ width: 2000, height: 30_000 }, WINDOW, { ...about, y: 0 }).y).toBe(0);
});

test("what is under the pointer stays there when one zooms", () => {
  const view = { scale: 1, x: -100, y: 40 };
  const { scale, x, y } = zoomed(view, 1.5, { x: 300, y: 200 });
  expect(scale).toBe(1.5);
  expect((300 - x) / scale).toBeCloseTo(400);
  expect((200 - y) / scale).toBeCloseTo(160);
});

test("a picture in the window moves nothing; one outside is brought in by as little as needed", () => {
  const view = { scale: 1, x: 0, y: 0 };
  expect(revealed(view, { x: 100, y: 100, width: 100, height: 100 }, WINDOW)).toEqual(view);
  expect(revealed(view, { x: 1500, y: 100, width: 100, height: 100 }, WINDOW)).toEqual({ scale: 1, x: -632, y: 0 });
  expect(revealed(view, { x: 100, y: -100, width: 100, height: 100 }, WINDOW)).toEqual({ scale: 1, x: 0, y: 132 });
});

test("the drawing cannot be dragged out of the window", () => {
  expect(kept({ scale: 1, x: 5000, y: -5000 }, { width: 400, height: 400 }, WINDOW)).toEqual({ scale: 1, x: 920, y: -320 });
});
