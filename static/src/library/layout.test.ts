import { describe, expect, test } from "vitest";
import { type Entry, layOutAgain, layOutRows, type Row, slotId } from "./layout";

const WIDTH = 1_000;
const TARGET = 200;

const photo = (number: number, ratio = 1.5): Entry => ({ id: String(number).padStart(4, "0"), ratio });
/** Newest first. */
const photos = (from: number, to: number, ratio?: number) =>
  Array.from({ length: to - from + 1 }, (_, index) => photo(to - index, ratio));

function rowsOf(entries: readonly Entry[]) {
  return { rows: layOutRows(entries, WIDTH, TARGET), newest: entries[0]!.id };
}

function again(before: { rows: readonly Row[]; newest: string }, entries: readonly Entry[]) {
  return { rows: layOutAgain(before, entries, WIDTH, TARGET), newest: before.newest };
}

/** Where each stands in its row, and how large it is. */
function boxes(rows: readonly Row[]): Map<string, string> {
  return new Map(rows.flatMap(({ height, boxes }) => boxes.map((box) => [box.id, `${box.left} ${box.width} ${height}`])));
}

const ids = (row: Row) => row.boxes.map(({ id }) => id);

describe("what arrives at the top", () => {
  test("moves and resizes nothing that stands, however many come, and in any shape", () => {
    let now = rowsOf(photos(1, 10));
    let entries = photos(1, 10);
    for (const [index, ratio] of [1.5, 0.66, 1, 1.78, 4, 0.25, 1, 1, 1.5, 0.66, 1.5].entries()) {
      const before = boxes(now.rows);
      entries = [photo(11 + index, ratio), ...entries];
      now = again(now, entries);
      const after = boxes(now.rows);
      for (const [id, place] of before) expect(after.get(id)).toBe(place);
      expect(after.size).toBe(entries.length);
    }
  });

  test("fills a row of its own exactly where all are of one shape, and the next row stands above it", () => {
    const before = rowsOf(photos(1, 8));
    const { rows } = again(before, photos(1, 13));
    expect(ids(rows[0]!)).toEqual(["0013", "0012"]);
    expect(ids(rows[1]!)).toEqual(["0011", "0010", "0009"]);
    expect(rows[1]!.boxes[0]!.left).toBeCloseTo(0);
    expect(rows[1]!.boxes.at(-1)!.left + rows[1]!.boxes.at(-1)!.width).toBeCloseTo(WIDTH);
    expect(rows[1]!.top).toBeCloseTo(rows[0]!.height + 4);
    expect(rows.slice(2).map(ids)).toEqual(before.rows.map(ids));
  });

  test("stays within the width and near the wanted height", () => {
    let now = rowsOf(photos(1, 3));
    let entries = photos(1, 3);
    for (const [index, ratio] of [4, 4, 0.25, 3, 0.25, 0.25, 2, 1].entries()) {
      entries = [photo(10 + index, ratio), ...entries];
      now = again(now, entries);
    }
    for (const row of now.rows.filter(({ room }) => room !== undefined)) {
      expect(row.height).toBeGreaterThanOrEqual(TARGET * 0.75);
      expect(row.height).toBeLessThanOrEqual(TARGET * 1.25);
      expect(Math.min(...row.boxes.map(({ left }) => left))).toBeGreaterThanOrEqual(-0.01);
    }
  });
});

describe("what else changes a day", () => {
  test("older photos below leave all rows but the last as they were", () => {
    const grown = again(rowsOf(photos(20, 26)), photos(20, 30));
    const { rows } = again(grown, photos(1, 30));
    expect(rows.slice(0, 3).map(ids)).toEqual(grown.rows.slice(0, 3).map(ids));
    expect(rows.slice(2).map(({ height, boxes }) => ({ height, boxes }))).toEqual(
      layOutRows(photos(1, 26), WIDTH, TARGET).map(({ height, boxes }) => ({ height, boxes })),
    );
  });

  test("a photo that leaves is closed up, and one that returns to its place finds it", () => {
    const before = rowsOf(photos(1, 12));
    const without = photos(1, 12).filter(({ id }) => id !== "0012");
    const gone = again(before, without);
    expect(gone.rows).toEqual(layOutRows(without, WIDTH, TARGET));
    expect(again(gone, photos(1, 12)).rows).toEqual(before.rows);
  });

  test("a photo that leaves a row that grew has the day laid out anew", () => {
    const grown = again(rowsOf(photos(1, 6)), photos(1, 9));
    const without = photos(1, 9).filter(({ id }) => id !== "0008");
    expect(again(grown, without).rows).toEqual(layOutRows(without, WIDTH, TARGET));
  });
});

describe("a slot", () => {
  const slot = (number: number): Entry => ({ id: slotId(String(number)), ratio: 1.5 });

  test("becomes its photo where it stands, in any order of making", () => {
    const queued = again(rowsOf(photos(1, 6)), [slot(3), slot(2), slot(1), ...photos(1, 6)]);
    expect(ids(queued.rows[0]!)).toEqual([slotId("3"), slotId("2"), slotId("1")]);
    const made = again(queued, [slot(3), slot(1), { ...photo(7), slot: slotId("2") }, ...photos(1, 6)]);
    expect(ids(made.rows[0]!)).toEqual([slotId("3"), "0007", slotId("1")]);
    const { rows } = again(made, [
      slot(3),
      { ...photo(8), slot: slotId("1") },
      { ...photo(7), slot: slotId("2") },
      ...photos(1, 6),
    ]);
    expect(ids(rows[0]!)).toEqual([slotId("3"), "0007", "0008"]);
    expect(rows.map(({ boxes }) => boxes.map(({ left, width }) => [left, width]))).toEqual(
      queued.rows.map(({ boxes }) => boxes.map(({ left, width }) => [left, width])),
    );
  });

  test("that becomes nothing leaves its place empty, and an empty row goes", () => {
    const queued = again(rowsOf(photos(1, 6)), [slot(4), slot(3), slot(2), slot(1), ...photos(1, 6)]);
    const { rows } = again(queued, [slot(3), slot(1), ...photos(1, 6)]);
    expect(ids(rows[0]!)).toEqual([slotId("3"), slotId("1")]);
    expect(boxes(rows).get(slotId("3"))).toBe(boxes(queued.rows).get(slotId("3")));
    expect(again({ rows, newest: "0006" }, photos(1, 6)).rows.map(ids)).toEqual(rowsOf(photos(1, 6)).rows.map(ids));
  });
});
