import { describe, expect, it } from "vitest";
import type { MissingModel, Model } from "../api/types";
import { entriesOf, groupsOf, photosWords, searchEntries, typeName, typesName, typesOf } from "./entries";

function model(key: string, name: string, more: Partial<Model> = {}): Model {
  return { backend_id: "one", key, hash: `hash of ${name}`, name, base: "sdxl", type: "main", ...more } as Model;
}

const gone: MissingModel = { key: "gone", hash: "", name: "Gone", base: null, type: "main" };
const servers: Record<string, string> = { one: "Studio PC", two: "Laptop" };

function found(text: string, ...items: Model[]): string[] {
  return searchEntries(entriesOf({ items, missing: [gone] }), text, (id) => servers[id]!).map(({ name }) => name);
}

describe("entries", () => {
  it("has a model once, though several servers have it by other keys", () => {
    const items = [
      model("a", "Hills"),
      model("b", "Hills", { backend_id: "two" }),
      model("a", "Hills", { backend_id: "two", hash: "" }),
    ];
    const entries = entriesOf({ items, missing: [gone] });
    expect(entries.map(({ key, servers }) => [key, servers.length])).toEqual([
      ["a", 3],
      ["gone", 0],
    ]);
  });

  it("keeps models apart whose hash is not known, and those of another type", () => {
    const items = [
      model("a", "Hills", { hash: "" }),
      model("b", "Hills", { hash: "" }),
      model("c", "Hills"),
      model("d", "Hills", { type: "vae" }),
    ];
    expect(entriesOf({ items, missing: [] })).toHaveLength(4);
  });
});

describe("the search", () => {
  const hills = model("a", "Hills");
  const dunes = model("b", "Dünes", { base: "sd-1", backend_id: "two" });
  const mist = model("c", "Mist", { type: "lora" });

  it("finds by name, base, type and server, in upper and lower case", () => {
    expect(found("HILLS", hills, dunes, mist)).toEqual(["Hills"]);
    expect(found("sd 1", hills, dunes, mist)).toEqual(["Dünes"]);
    expect(found("sd-1", hills, dunes, mist)).toEqual(["Dünes"]);
    expect(found("lora", hills, dunes, mist)).toEqual(["Mist"]);
    expect(found("laptop", hills, dunes, mist)).toEqual(["Dünes"]);
    expect(found("dunes", hills, dunes, mist)).toEqual(["Dünes"]);
    expect(found("missing", hills, dunes, mist)).toEqual(["Gone"]);
  });

  it("wants every word, and without one finds all", () => {
    expect(found("sdxl studio mist", hills, dunes, mist)).toEqual(["Mist"]);
    expect(found("sdxl laptop", hills, dunes, mist)).toEqual([]);
    expect(found("  ", hills, dunes, mist)).toHaveLength(4);
  });
});

describe("groups", () => {
  it("begin with main models, then LoRAs, and end with types that are new", () => {
    const items = ["vae", "new_thing", "lora", "main"].map((type) => model(type, type, { type }));
    const entries = entriesOf({ items, missing: [] });
    expect(groupsOf(entries).map(({ type }) => type)).toEqual(["main", "lora", "vae", "new_thing"]);
    expect(typesOf(entries)).toEqual(["main", "lora", "vae", "new_thing"]);
  });

  it("are of one base each, by name, and end with those of no known base", () => {
    const items = [model("a", "Hills 10"), model("b", "hills 2"), model("c", "Old", { base: "sd-1" })];
    const groups = groupsOf(entriesOf({ items, missing: [gone] }));
    expect(groups.map(({ base, entries }) => [base, entries.map(({ name }) => name)])).toEqual([
      ["sd-1", ["Old"]],
      ["sdxl", ["hills 2", "Hills 10"]],
      [null, ["Gone"]],
    ]);
  });
});

it("names types as their users do, one and many of them", () => {
  expect([typeName("main"), typesName("main"), typeName("lora"), typesName("new_thing")]).toEqual([
    "Main model",
    "Main models",
    "LoRA",
    "new_thing",
  ]);
});

it("says how many photos there are, or that there are more than are counted", () => {
  expect(photosWords(1, false)).toBe("1 photo");
  expect(photosWords(1_234, false)).toBe(`${(1_234).toLocaleString()} photos`);
  expect(photosWords(10_000, true)).toBe(`More than ${(10_000).toLocaleString()} photos`);
});
