import { expect, it } from "vitest";
import type { Photo } from "../api/types";
import { wasMadeWith } from "../state/photo-filter";
import { withPhoto } from "./use-made-with";

it("puts a new photo where its time is, and drops what there is no room for", () => {
  expect(withPhoto(["c", "a"], "b", true, 3)).toEqual(["c", "b", "a"]);
  expect(withPhoto(["c", "b", "a"], "d", true, 3)).toEqual(["d", "c", "b"]);
});

it("changes nothing for a photo that is there, and takes out one that has gone to the trash", () => {
  const ids = ["c", "b", "a"];
  expect(withPhoto(ids, "b", true, 3)).toBe(ids);
  expect(withPhoto(ids, "x", false, 3)).toBe(ids);
  expect(withPhoto(ids, "b", false, 3)).toEqual(["c", "a"]);
});

it("tells whether a photo was made with a model by key or name, or has a LoRA, as the service does", () => {
  const photo = { model_key: "k", model_name: "Hills", loras: ["Mist", "mist"] } as Photo;
  expect(wasMadeWith(photo, { model: ["k"], lora: null })).toBe(true);
  expect(wasMadeWith(photo, { model: ["other", "Hills"], lora: null })).toBe(true);
  expect(wasMadeWith(photo, { model: ["other"], lora: null })).toBe(false);
  expect(wasMadeWith(photo, { model: null, lora: ["mist"] })).toBe(true);
  expect(wasMadeWith({ ...photo, loras: null, model_key: null }, { model: ["k"], lora: ["mist"] })).toBe(false);
});
