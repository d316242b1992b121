import { describe, expect, test } from "vitest";
import type { Model } from "../api/types";
import type { StepState } from "../state/steps";
import { BLANK, type Draft, flawOf, fromStep, toNewStep } from "./draft";

const model = { backend_id: "b", key: "m", hash: "h", name: "Model", base: "sdxl" } as Model;
const lora = { backend_id: "b", key: "l", hash: "lh", name: "Mist", base: "sdxl" } as Model;
const chosen = { key: "l", hash: "lh", name: "Mist", base: "sdxl", weight: 0.6 };
const draft: Draft = { ...BLANK, prompt: "a lake", model: "b/m" };

describe("what is sent of a draft", () => {
  test("has neither source, strength nor LoRAs where there are none", () => {
    const sent = toNewStep(draft, model, null, []);
    expect(sent).not.toHaveProperty("source_photo_id");
    expect(sent.parameters).toEqual({ width: 1024, height: 1024 });
  });

  test("has the source with its strength", () => {
    const sent = toNewStep({ ...draft, source: "p", strength: 0 }, model, null, []);
    expect(sent.source_photo_id).toBe("p");
    expect(sent.parameters).toMatchObject({ strength: 0 });
  });

  test("has the LoRAs that fit, and no others", () => {
    const other = { ...chosen, key: "x", hash: "x", name: "Other" };
    const sent = toNewStep({ ...draft, loras: [other, chosen] }, model, null, [lora]);
    expect(sent.parameters!.loras).toEqual([{ key: "l", weight: 0.6 }]);
  });
});

test("a step's source, strength and LoRAs are in its draft again", () => {
  const step = {
    prompt: "a lake",
    negative_prompt: "",
    backend_id: "b",
    model_key: "m",
    batch_size: 2,
    source_photo_id: "p",
    parameters: { width: 512, height: 512, strength: 0.4, loras: [{ key: "l", weight: 0.6 }] },
  } as unknown as StepState;
  const again = fromStep(step, BLANK, [lora]);
  expect(again).toMatchObject({ source: "p", strength: 0.4, loras: [chosen], width: 512 });
  expect(toNewStep(again, model, null, [lora])).toMatchObject({ source_photo_id: "p", parameters: step.parameters });
});

test("a strength that is none cannot be sent, where there is a source", () => {
  expect(flawOf({ ...draft, strength: 2 }, model)).toBeNull();
  for (const strength of [2, -0.1, Number.NaN]) {
    expect(flawOf({ ...draft, source: "p", strength }, model)?.field).toBe("strength");
  }
});
