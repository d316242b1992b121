import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Item, Photo, Step } from "../api/types";
import { putItem, replaceItems } from "../state/items";
import { type PhotoFilter, UNNARROWED } from "../state/photo-filter";
import { PhotoList } from "../state/photo-list";
import { putPhoto } from "../state/photos";
import { putStep } from "../state/steps";
import { Developing } from "./developing";
import { slotId } from "./layout";

vi.stubGlobal("fetch", () => new Promise(() => undefined));

const everything: PhotoFilter = { trashed: false, album: null, order: "newest", ...UNNARROWED };

function item(number: number, change: Partial<Item> = {}): Item {
  const nothing = {
    error: null,
    started_at: null,
    completed_at: null,
    progress: null,
    created_at: null,
    ordinal: number,
    photo_ids: [],
  };
  return { ...nothing, backend_id: "rtx", item_id: number, batch_id: "batch", step_id: "step", status: "pending", ...change };
}

const at = (second: number) => `2026-11-29T12:00:${String(second).padStart(2, "0")}Z`;

function photo(id: string, second: number): Photo {
  return { id, backend_id: "rtx", step_id: "step", created_at: at(second), deleted_at: null } as Photo;
}

describe("what is being made", () => {
  let list: InstanceType<typeof PhotoList>;
  let developing: InstanceType<typeof Developing>;
  let stop: () => void;

  beforeEach(() => {
    vi.useFakeTimers();
    replaceItems([]);
    putStep({
      id: "step",
      session_id: "session",
      parameters: { width: 1200, height: 800 },
      alternatives: [],
      items: [],
    } as never as Step);
    list = new PhotoList(everything);
    developing = new Developing(list, 12);
    stop = developing.follow();
  });
  afterEach(() => {
    stop();
    list.close();
    vi.useRealTimers();
  });

  const open = (...ids: string[]) => developing.open(ids).map(({ id }) => id);
  const slots = (...numbers: number[]) => numbers.map((number) => slotId(`rtx/${number}`));

  test("has slots in its shape, the last to be made first; what is not ours has none", () => {
    replaceItems([item(1), item(2), item(3, { step_id: null })]);
    expect(open()).toEqual(slots(2, 1));
    expect(developing.slots.value[0]!.ratio).toBe(1.5);
  });

  test("has its slot also when its step is told later than the item, or the item itself later", () => {
    replaceItems([item(1, { step_id: null })]);
    expect(open()).toEqual([]);
    putItem(item(1));
    expect(open()).toEqual(slots(1));
    putItem(item(1, { status: "completed" }));
    putItem(item(2, { step_id: "later" }));
    expect(open()).toEqual(slots(1));
    putStep({
      id: "later",
      session_id: "session",
      parameters: { width: 8, height: 8 },
      alternatives: [],
      items: [],
    } as never as Step);
    expect(open()).toEqual(slots(2, 1));
  });

  test("gets no slot while somebody looks closely, nor where its photo will not be", () => {
    list.holding.value = true;
    replaceItems([item(1)]);
    expect(open()).toEqual([]);
    list.holding.value = false;
    expect(open()).toEqual(slots(1));
    const other = new PhotoList({ ...everything, session: "another" });
    const elsewhere = new Developing(other, 12);
    const end = elsewhere.follow();
    expect(elsewhere.open([])).toEqual([]);
    end();
    other.close();
  });

  test("of a long queue has slots for the next few, and for others as these are done", () => {
    replaceItems(Array.from({ length: 20 }, (_, number) => item(number + 1)));
    expect(open()).toHaveLength(12);
    putItem(item(1, { status: "completed", started_at: at(1), completed_at: at(2) }));
    expect(open()).toHaveLength(13);
    expect(open()[0]).toBe(slots(13)[0]);
  });

  test("gives each photo the slot of the item that made it, held or not, also of one that had ended", () => {
    replaceItems([item(1), item(2)]);
    list.holding.value = true;
    putItem(item(1, { status: "completed", started_at: at(1), completed_at: at(5) }));
    putItem(item(2, { status: "in_progress", started_at: at(6) }));
    putPhoto(photo("p2", 8));
    putPhoto(photo("p1", 4));
    expect([developing.slotOf("p2"), developing.slotOf("p1")]).toEqual([null, null]);
    putItem(item(2, { status: "in_progress", started_at: at(6), photo_ids: ["p2"] }));
    putItem(item(1, { status: "completed", started_at: at(1), completed_at: at(5), photo_ids: ["p1", "p3"] }));
    expect(list.hasPlace("p2")).toBe(true);
    expect([developing.slotOf("p2"), developing.slotOf("p1")]).toEqual(slots(2, 1));
    putPhoto(photo("p3", 4));
    expect(developing.slotOf("p3")).toBeNull();
    expect(open("p2")).toEqual(slots(1));
  });

  test("gives a photo the slot of the item that ran, where that ended while the feed was away", () => {
    replaceItems([item(1, { status: "in_progress", started_at: at(1) }), item(2)]);
    putPhoto(photo("p1", 4));
    expect(developing.slotOf("p1")).toBeNull();
    replaceItems([]);
    expect(developing.slotOf("p1")).toBe(slots(1)[0]);
    expect(open("p1")).toEqual(slots(2));
    vi.advanceTimersByTime(60_000);
    expect(open("p1")).toEqual([]);
  });

  test("keeps its slot while it is live, also after a snapshot that lacked it", () => {
    const running = item(1, { status: "in_progress", started_at: at(1) });
    replaceItems([running]);
    replaceItems([]);
    putItem(running);
    vi.advanceTimersByTime(60_000);
    expect(open()).toEqual(slots(1));
    replaceItems([]);
    vi.advanceTimersByTime(60_000);
    expect(open()).toEqual([]);
    for (const percentage of [0.1, 0.2, 0.3]) {
      putItem({ ...running, error: String(percentage) });
      expect(open()).toEqual(slots(1));
    }
  });

  test("loses its slot some time after it ended without a photo, once nobody looks", () => {
    replaceItems([item(1), item(2)]);
    list.holding.value = true;
    putItem(item(1, { status: "canceled" }));
    vi.advanceTimersByTime(60_000);
    expect(open()).toEqual(slots(2, 1));
    list.holding.value = false;
    expect(open()).toEqual(slots(2));
    putItem(item(2, { status: "failed" }));
    expect(open()).toEqual(slots(2));
    vi.advanceTimersByTime(60_000);
    expect(open()).toEqual([]);
  });
});
