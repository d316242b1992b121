import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Photo } from "../api/types";
import { photoEvents } from "./feed-events";
import { type PhotoFilter, UNNARROWED } from "./photo-filter";
import { PhotoList } from "./photo-list";
import { putPhoto } from "./photos";

const asked = vi.fn<(request: Request) => Promise<Response>>();
vi.stubGlobal("fetch", asked);

const everything: PhotoFilter = { trashed: false, album: null, order: "newest", ...UNNARROWED };

function photo(id: string, values: Partial<Photo> = {}): Photo {
  const plain = { id, deleted_at: null, source: "mirrored", session_id: null, favorite: false, rating: 0, pick: null, tags: [] };
  return { ...plain, ...values } as Photo;
}

async function listOf(filter: PhotoFilter, ...ids: string[]) {
  const page = { items: ids.map((id) => photo(id)), next_cursor: null };
  asked.mockResolvedValue(new Response(JSON.stringify(page), { headers: { "Content-Type": "application/json" } }));
  const list = new PhotoList(filter);
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
    list = await listOf(everything, "b3", "b2", "b1");
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

describe("a list whose photos are marked otherwise", () => {
  const unflagged = { ...everything, flags: ["none"] as const };
  let list: Awaited<ReturnType<typeof listOf>>;

  async function mark(id: string, values: Partial<Photo>): Promise<void> {
    putPhoto(photo(id, values));
    photoEvents.emit({ id, byHand: true });
    await Promise.resolve();
  }

  beforeEach(async () => {
    for (const id of ["b1", "b2", "b3"]) putPhoto(photo(id));
    list = await listOf(unflagged, "b3", "b2", "b1");
  });
  afterEach(() => list.close());

  test("loses them at once while nobody looks closely", async () => {
    await mark("b2", { pick: "reject" });
    expect(list.ids.value).toEqual(["b3", "b1"]);
  });

  test("keeps them where they are until it is released, also when it is read again", async () => {
    list.holding.value = true;
    await mark("b2", { pick: "reject" });
    expect(list.ids.value).toEqual(["b3", "b2", "b1"]);
    expect(list.hasStale.value).toBe(true);
    const page = { items: [photo("b3"), photo("b1")], next_cursor: null };
    asked.mockResolvedValue(new Response(JSON.stringify(page), { headers: { "Content-Type": "application/json" } }));
    await list.reload();
    expect(list.ids.value).toEqual(["b3", "b2", "b1"]);
    list.release();
    expect(list.ids.value).toEqual(["b3", "b1"]);
    expect(list.hasStale.value).toBe(false);
  });

  test("keeps them where they are when the mark is taken back", async () => {
    list.holding.value = true;
    await mark("b2", { pick: "pick" });
    await mark("b2", {});
    list.release();
    expect(list.ids.value).toEqual(["b3", "b2", "b1"]);
  });

  test("loses what is trashed at once, though it was marked", async () => {
    list.holding.value = true;
    await mark("b2", { pick: "pick" });
    await mark("b2", { pick: "pick", deleted_at: "2026-11-29T12:00:00Z" });
    expect(list.ids.value).toEqual(["b3", "b1"]);
  });
});

describe("a list in an album's order", () => {
  const inAlbum = (id: string): Photo => ({ ...photo(id), albums: [{ id: "album", name: "Coast" }] });
  const answer = (...ids: string[]) =>
    asked.mockImplementation(() =>
      Promise.resolve(
        new Response(JSON.stringify({ items: ids.map(inAlbum), next_cursor: null }), {
          headers: { "Content-Type": "application/json" },
        }),
      ),
    );
  let list: InstanceType<typeof PhotoList>;

  beforeEach(async () => {
    answer("m2", "m9", "m5");
    list = new PhotoList({ ...everything, album: "album", order: "position" });
    await vi.waitUntil(() => list.loaded.value);
  });
  afterEach(() => list.close());

  test("stands as the service has it", () => {
    expect(list.ids.value).toEqual(["m2", "m9", "m5"]);
  });

  test("loses what is taken out, and reads again for the place of what was put in", async () => {
    putPhoto({ ...photo("m9"), albums: [] });
    photoEvents.emit({ id: "m9", byHand: true });
    await Promise.resolve();
    expect(list.ids.value).toEqual(["m2", "m5"]);
    answer("m7", "m2", "m5");
    putPhoto(inAlbum("m7"));
    photoEvents.emit({ id: "m7", byHand: true });
    await vi.waitUntil(() => list.ids.value.length === 3);
    expect(list.ids.value).toEqual(["m7", "m2", "m5"]);
  });

  test("keeps a place that was changed by hand, also when an older answer comes in between", async () => {
    let finish: () => void = () => undefined;
    const reading = list.reload();
    const moving = list.arrange(["m5"], "m2", () => new Promise<void>((resolve) => (finish = resolve)));
    expect(list.ids.value).toEqual(["m5", "m2", "m9"]);
    await reading;
    expect(list.ids.value).toEqual(["m5", "m2", "m9"]);
    answer("m5", "m2", "m9");
    finish();
    await moving;
    expect(list.ids.value).toEqual(["m5", "m2", "m9"]);
  });

  test("is put back as it was where it could not be changed", async () => {
    await list.arrange(["m5"], "m2", () => Promise.resolve());
    expect(list.ids.value).toEqual(["m2", "m9", "m5"]);
  });
});
