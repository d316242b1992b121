import { expect, test } from "vitest";
import type { Item } from "../api/types";
import type { LiveItem } from "../state/items";
import { groupItems, inHeldRows } from "./queue-groups";

function live(item_id: number, step_id: string | null, batch_id = "batch"): LiveItem {
  return { key: `${item_id}`, item: { value: { backend_id: "b", item_id, step_id, batch_id } as Item } } as unknown as LiveItem;
}

const rows = (groups: ReturnType<typeof groupItems>) => groups.map(({ key, live, over }) => [key, live.length, over]);

test("what a step still lacks is one row, and so is a batch of somebody else's", () => {
  const groups = groupItems([live(1, "s"), live(2, null, "x"), live(3, "s"), live(4, null, "x"), live(5, null, "y")]);
  expect(rows(groups)).toEqual([
    ["b/s", 2, false],
    ["b/x", 2, false],
    ["b/y", 1, false],
  ]);
});

test("while rows are held none moves: what ended keeps its own, what is new comes last", () => {
  const before = groupItems([live(1, "s"), live(2, "t")]);
  const now = groupItems([live(3, "r"), live(2, "t")]);
  expect(rows(inHeldRows(before, now))).toEqual([
    ["b/s", 1, true],
    ["b/t", 1, false],
    ["b/r", 1, false],
  ]);
});
