import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

vi.stubGlobal("location", { origin: "http://darkroom.test" });
const asked = vi.fn<(request: Request) => Promise<Response>>();
vi.stubGlobal("fetch", asked);
const { photoEvents } = await import("./feed-events");
const { PhotoList } = await import("./photo-list");
const { putPhoto } = await import("./photos");

type Photo = Parameters<typeof putPhoto>[0];

const everything = { trashed: false, source: null, session: null, favorite: false, madeWith: null, q: null };

function photo(id: string): Photo {
  return { id, deleted_at: null, source: "mirrored", session_id: null, favorite: false } as Photo;
}

async function listOf(...ids: string[]) {
  const page = { items: ids.map(photo), next_cursor: null };
  asked.mockResolvedValue(new Response(JSON.stringify(page), { headers: { "Content-Type": "application/json" } }));
  const list = new PhotoList(everything);
  await vi.waitUntil(() => list.loaded.value);
  return list;
}

function arrive(...ids: string[]): void {
  for (const id of ids) {
    putPhoto(photo(id));
    photoEvents.emit({ id, byHand: true });
  }
}

describe("a list that is held", () => {
  let list: Awaited<ReturnType<typeof listOf>>;

  beforeEach(async () => {
    list = await listOf("b3", "b2", "b1");
    list.holding.value = true;
  });
  afterEach(() => list.close());

  test("counts what is newer and shows it when released", async () => {
    arrive("c1", "c2");
    await Promise.resolve();
    expect(list.ids.value).toEqual(["b3", "b2", "b1"]);
    expect(list.waiting.value).toBe(2);
    list.release();
    expect(list.ids.value).toEqual(["c2", "c1", "b3", "b2", "b1"]);
    expect(list.waiting.value).toBe(0);
  });

  test("shows what returns to its place", async () => {
    arrive("b15");
    await Promise.resolve();
    expect(list.ids.value).toEqual(["b3", "b2", "b15", "b1"]);
  });

  test("shows at once what has a place, before and after older ones that have none are released", async () => {
    list.hasPlace = (id) => id === "c2";
    arrive("c1", "c2", "c3");
    await Promise.resolve();
    expect(list.ids.value).toEqual(["c2", "b3", "b2", "b1"]);
    expect(list.waiting.value).toBe(2);
    list.hasPlace = () => false;
    arrive("c4");
    await Promise.resolve();
    expect(list.ids.value).toEqual(["c2", "b3", "b2", "b1"]);
    list.release();
    expect(list.ids.value).toEqual(["c4", "c3", "c2", "c1", "b3", "b2", "b1"]);
  });
});
