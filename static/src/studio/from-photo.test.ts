import { describe, expect, test } from "vitest";
import type { Model, Photo } from "../api/types";
import { BLANK } from "./draft";
import { fromPhoto, modelOf } from "./from-photo";

function photo(known: Partial<Photo>): Photo {
  const nothing = {
    model_key: null,
    model_hash: null,
    model_name: null,
    backend_id: null,
    generation_params: null,
    source_image_id: null,
  };
  return { ...nothing, generation_prompt: "a cat", generation_negative_prompt: null, width: 512, height: 768, ...known } as Photo;
}

function model(key: string, known: Partial<Model> = {}): Model {
  return { backend_id: "b", key, name: key, hash: `blake3:${key}`, base: "sdxl", ...known } as Model;
}

describe("a draft from a photo", () => {
  test("has its words and numbers, and another seed", () => {
    const told = { width: 832, height: 1216, steps: 28, cfg_scale: 5.5, scheduler: "euler_a", seed: 7 };
    const draft = fromPhoto(photo({ generation_negative_prompt: "blurry", generation_params: told }), BLANK, model("m"));
    expect(draft).toEqual({
      ...BLANK,
      prompt: "a cat",
      negative: "blurry",
      model: "b/m",
      width: 832,
      height: 1216,
      steps: 28,
      cfg: 5.5,
      scheduler: "euler_a",
      seed: null,
    });
  });

  test("has its own size where none was asked for, and the former where that cannot be made", () => {
    expect(fromPhoto(photo({}), BLANK, undefined)).toMatchObject({ width: 512, height: 768, model: null });
    const draft = fromPhoto(photo({ width: 1001, height: 20_000 }), { ...BLANK, width: 640, model: "b/m" }, undefined);
    expect(draft).toMatchObject({ width: 640, height: 1024, model: "b/m" });
  });

  test("leaves numbers to the model that cannot be used", () => {
    const told = { steps: "20", cfg_scale: 0, scheduler: "Restart", width: 99, height: 64 };
    const draft = fromPhoto(photo({ generation_params: told }), { ...BLANK, steps: 9, cfg: 9, scheduler: "ddim" }, undefined);
    expect(draft).toMatchObject({ steps: null, cfg: null, scheduler: null, width: 512, height: 768 });
  });

  test.each([
    ["automatic1111", "<lora:ink:0.8>, a cat, <lora:wash:1>, on a mat <lyco:x>", "a cat, on a mat"],
    ["automatic1111", "a <b> cat\nBREAK <lora:ink:1> a dog", "a <b> cat\nBREAK  a dog"],
    ["comfyui", "a cat <lora:ink:0.8>", "a cat <lora:ink:0.8>"],
  ])("has no LoRAs of %s in its prompt", (taken_from, prompt, words) => {
    expect(fromPhoto(photo({ generation_prompt: prompt, generation_params: { taken_from } }), BLANK, undefined).prompt).toBe(words);
  });
});

describe("the model of a photo", () => {
  const models = [
    model("one", { name: "Dream", hash: "sha256:6ce0161689b3853acaa03779ec93eafe75a02f4ced659bee03f50797806fa2fa" }),
    model("two", { name: "v1-5-pruned-emaonly" }),
    model("two", { name: "v1-5-pruned-emaonly", backend_id: "c" }),
  ];

  test.each([
    ["its key", { model_key: "two" }, 1],
    ["its key, on its own server", { model_key: "two", backend_id: "c" }, 2],
    ["its whole checksum", { model_hash: "blake3:two" }, 1],
    ["the beginning of its checksum", { model_hash: "6CE0161689", model_name: "v1-5-pruned-emaonly" }, 0],
    ["its name", { model_name: "V1-5-pruned-emaonly" }, 1],
    ["its file", { model_name: "sd\\v1-5-pruned-emaonly.safetensors" }, 1],
    ["its name, on its own server", { model_name: "v1-5-pruned-emaonly.ckpt", backend_id: "c" }, 2],
  ])("is found by %s", (_, known, at) => {
    expect(modelOf(photo(known), models)).toBe(models[at]);
  });

  test.each([
    [{}],
    [{ model_name: "v1-5" }],
    [{ model_hash: "6ce0" }],
    [{ model_hash: "" }],
    [{ model_hash: "two", model_key: "three", model_name: "" }],
  ])("is not guessed: %j", (known) => {
    expect(modelOf(photo(known), models)).toBeUndefined();
  });
});
