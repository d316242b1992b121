import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { PhotoFilter } from "../state/photo-list";

vi.stubGlobal("location", { origin: "http://darkroom.test" });
vi.stubGlobal("fetch", () => new Promise(() => undefined));
const { Developing } = await import("./developing");
const { slotId } = await import("./layout");
const { putItem, replaceItems } = await import("../state/items");
const { PhotoList } = await import("../state/photo-list");
const { putPhoto } = await import("../state/photos");
const { putStep } = await import("../state/steps");

type Item = Parameters<typeof putItem>[0];
type Photo = Parameters<typeof putPhoto>[0];
type Step = Parameters<typeof putStep>[0];

const everything: PhotoFilter = {
  trashed: false,
  source: null,
  session: null,
  album: null,
  order: "newest",
  favorite: false,
  ratingMin: null,
  flags: null,
  tag: null,
  madeWith: null,
  q: null,
};

function item(number: number, change: Partial<Item> = {}): Item {
  const nothing = { error: null, started_at: null, completed_at: null, progress: null, created_at: null, ordinal: number };
  return { ...nothing, backend_id: "house", item_id: number, batch_id: "batch", step_id: "step", status: "pending", ...change };
}

const at = (second: number) => `2026-11-29T12:00:${String(second).padStart(2, "0")}Z`;

function photo(id: string, second: number): Photo {
  return { id, backend_id: "house", step_id: "step", created_at: at(second), deleted_at: null } as Photo;
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
  const slots = (...numbers: number[]) => numbers.map((number) => slotId(`house/${number}`));

  test("has slots in its shape, the last to be made first; what is not ours has none", () => {
    replaceItems([item(1), item(2), item(3, { step_id: null })]);
    expect(open()).toEqual(slots(2, 1));
    expect(developing.slots.value[0]!.ratio).toBe(1.5);
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

  test("gives each photo the slot of the item that ran when it was saved, held or not", () => {
    replaceItems([item(1), item(2)]);
    list.holding.value = true;
    putItem(item(1, { status: "completed", started_at: at(1), completed_at: at(5) }));
    putItem(item(2, { status: "in_progress", started_at: at(6) }));
    putPhoto(photo("p2", 8));
    putPhoto(photo("p1", 4));
    expect(list.hasPlace("p2")).toBe(true);
    expect([developing.slotOf("p2"), developing.slotOf("p1")]).toEqual(slots(2, 1));
    putPhoto(photo("p3", 4));
    expect(developing.slotOf("p3")).toBeNull();
    expect(open("p2")).toEqual(slots(1));
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
