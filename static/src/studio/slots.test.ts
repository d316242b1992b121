import { expect, test, vi } from "vitest";
import type { Item } from "../api/types";
import type { StepState } from "../state/steps";

vi.stubGlobal("location", { origin: "http://darkroom.test" });
const { slotsOf } = await import("./slots");

function item(item_id: number, status: Item["status"], batch_id = "one"): Item {
  return { backend_id: "b", item_id, batch_id, ordinal: item_id, status, started_at: null, completed_at: null } as unknown as Item;
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
