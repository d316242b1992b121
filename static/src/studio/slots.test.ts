import { expect, test } from "vitest";
import type { Item } from "../api/types";
import type { StepState } from "../state/steps";
import { slotsOf } from "./slots";

function item(item_id: number, status: Item["status"], batch_id = "one", photo_ids: string[] = []): Item {
  return { backend_id: "b", item_id, batch_id, ordinal: item_id, status, photo_ids } as unknown as Item;
}

const stateOf = (status: StepState["status"], items: Item[]) =>
  slotsOf({ status, batch_size: 3, items } as unknown as StepState, []).map((slot) => slot.item?.status ?? "waiting");

test("an item that was canceled alone keeps its place while the others are made", () => {
  expect(stateOf("processing", [item(1, "in_progress"), item(2, "canceled"), item(3, "pending")])).toEqual([
    "in_progress",
    "canceled",
    "pending",
  ]);
});

test("what failed before a retry waits once more", () => {
  expect(stateOf("pending", [item(1, "failed"), item(2, "failed"), item(3, "failed")])).toEqual(["waiting", "waiting", "waiting"]);
  expect(stateOf("processing", [item(1, "failed"), item(2, "failed"), item(3, "failed"), item(4, "in_progress", "two")])).toEqual([
    "in_progress",
    "waiting",
    "waiting",
  ]);
});

test("each picture stands in the place of the work that made it, however they are ordered", () => {
  const items = [
    item(1, "completed", "one", ["c"]),
    item(2, "in_progress"),
    item(3, "completed", "one", ["a", "b"]),
    item(4, "canceled"),
    item(4, "completed", "one", ["d"]),
  ];
  const step = { status: "processing", batch_size: 4, items } as unknown as StepState;
  const slots = slotsOf(step, ["a", "b", "c", "d", "of no item"]);
  expect(slots.map(({ photo, item }) => photo ?? item?.status)).toEqual(["of no item", "c", "in_progress", "a", "b", "d"]);
  expect(slotsOf(step, ["c"])[0]!.key).toBe(slots[1]!.key);
});
