import { describe, expect, test } from "vitest";
import type { Model } from "../api/types";
import {
  type ChosenLora,
  chosenLora,
  fitOf,
  hasPhrase,
  loraName,
  lorasOfStep,
  lorasTold,
  searchLoras,
  sentLoras,
  withPhrase,
} from "./loras";

function lora(key: string, known: Partial<Model> = {}): Model {
  const own = { backend_id: "here", key, name: `The ${key}`, hash: `blake3:${key}`, base: "sdxl", type: "lora" };
  return { ...own, default_settings: null, trigger_phrases: null, ...known } as Model;
}

const model = { backend_id: "here", key: "m", base: "sdxl" } as Model;
const mist = lora("mist", { trigger_phrases: ["thick fog"] });
const small = lora("small", { base: "sd-1" });
/** The same file at another server, which has another key for it. */
const mistThere = lora("mist-there", { backend_id: "there", hash: mist.hash, name: "Fog" });
const onlyThere = lora("only-there", { backend_id: "there" });
const all = [mist, small, mistThere, onlyThere];
const named = (name: string, known: Partial<ChosenLora> = {}): ChosenLora => ({
  key: null,
  hash: null,
  name,
  base: null,
  weight: 1,
  ...known,
});

describe("a LoRA fits a model", () => {
  test("of its base and server, found by key, checksum or name", () => {
    expect(fitOf(chosenLora(mist), model, all).lora).toBe(mist);
    expect(fitOf(chosenLora(mistThere), model, all).lora).toBe(mist);
    expect(fitOf(named("THE MIST"), model, all).lora).toBe(mist);
  });

  test.each([
    [chosenLora(small), "Left out: it is for SD 1, and the model is SDXL."],
    [chosenLora(onlyThere), "Left out: the model's server does not have it."],
    [named("gone"), "Left out: no server has it."],
    [named("gone", { base: "flux" }), "Left out: it is for FLUX, and the model is SDXL."],
  ])("else it says why it is left out", (chosen, why) => {
    expect(fitOf(chosen, model, all).why).toBe(why);
  });
});

test("what fits is sent, by the server's own key and once", () => {
  const chosen = [chosenLora(mistThere), chosenLora(small), { ...chosenLora(mist), weight: 0.3 }];
  expect(sentLoras(chosen, model, all)).toEqual([{ key: "mist", weight: 0.75 }]);
  expect(sentLoras(chosen, undefined, all)).toEqual([]);
});

test("a LoRA begins at its own weight", () => {
  expect(chosenLora(lora("heavy", { default_settings: { weight: 1.2 } })).weight).toBe(1.2);
  for (const weight of [null, "1", 99, Number.NaN]) {
    expect(chosenLora(lora("other", { default_settings: { weight } })).weight).toBe(0.75);
  }
});

test("a step's LoRAs are named as servers name them", () => {
  const [known, gone] = lorasOfStep(
    {
      loras: [
        { key: "mist", weight: 0.4 },
        { key: "nobody", weight: 1 },
      ],
    },
    all,
  );
  expect(known).toMatchObject({ hash: mist.hash, name: "The mist", weight: 0.4 });
  expect(loraName(known!, all)).toBe("The mist");
  expect(loraName(gone!, all)).toBe("A LoRA that no server has");
});

test("photos tell of LoRAs in several ways, and some of nothing that can be used", () => {
  const told = [
    { model: { key: "k", hash: "h", name: "n", base: "sdxl" }, weight: 0.5 },
    { lora: { model_name: "old", base_model: "sd-1" }, weight: 1 },
    { model: { name: "odd" }, weight: "much" },
    { weight: 1 },
    "mist",
    null,
  ];
  expect(lorasTold(told)).toEqual([
    { key: "k", hash: "h", name: "n", base: "sdxl", weight: 0.5 },
    { key: null, hash: null, name: "old", base: "sd-1", weight: 1 },
    { key: null, hash: null, name: "odd", base: null, weight: 0.75 },
  ]);
  expect(lorasTold({ model: 1 })).toEqual([]);
});

test("LoRAs are found by name and trigger phrase, but for those that are chosen", () => {
  const among = [mist, lora("Ète"), lora("night")];
  expect(searchLoras("", among, []).map(({ key }) => key)).toEqual(["Ète", "mist", "night"]);
  expect(searchLoras("ete", among, [])).toEqual([among[1]]);
  expect(searchLoras("fog the", among, [])).toEqual([mist]);
  expect(searchLoras("fog", among, [chosenLora(mist)])).toEqual([]);
});

test("a trigger phrase is in a prompt only as words of its own", () => {
  expect(hasPhrase("A Mist over hills", "mist")).toBe(true);
  expect(hasPhrase("a misty hill", "mist")).toBe(false);
  expect(hasPhrase("by (someone)", "(someone)")).toBe(true);
  expect(withPhrase("a hill, ", "mist")).toBe("a hill, mist");
  expect(withPhrase(" ", "mist")).toBe("mist");
});
