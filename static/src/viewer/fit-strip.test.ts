import { expect, test } from "vitest";
import { fitStrip } from "./fit-strip";

const some = (many: number) => Array.from({ length: many }, (_, at) => `${at}`);

test.each([
  [0, 5, 0, 5, 0, 0],
  [1, 4, 1, 4, 0, 0],
  [4, 1, 4, 1, 0, 0],
  [1, 13, 1, 3, 0, 10],
  [3, 13, 1, 2, 2, 11],
  [9, 0, 4, 0, 5, 0],
  [3, 2, 3, 2, 0, 0],
])("of %i parents and %i children %i and %i are shown, %i and %i counted", (parents, children, ...expected) => {
  const fitted = fitStrip(some(parents), some(children));
  expect([fitted.parents.length, fitted.children.length, fitted.moreParents, fitted.moreChildren]).toEqual(expected);
  expect(
    fitted.parents.length + fitted.children.length + +(fitted.moreParents > 0) + +(fitted.moreChildren > 0),
  ).toBeLessThanOrEqual(5);
});
