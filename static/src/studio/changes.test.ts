import { describe, expect, test } from "vitest";
import { shorten } from "../lib/format";
import type { StepState } from "../state/steps";
import { sessionName, stepTitle, whatChanged } from "./changes";

let position = 0;
function step(change: Partial<StepState> = {}): StepState {
  position += 1;
  return {
    id: `step-${position}`,
    position,
    parent_id: null,
    prompt: "a valley of hills, first light",
    negative_prompt: "",
    model_key: "m",
    model_name: "Hills XL",
    parameters: { width: 1024, height: 1024, steps: 30, cfg_scale: 7, scheduler: "euler", seed: 1 },
    ...change,
  } as unknown as StepState;
}

const parent = step();
const with_ = (parameters: object) => step({ parent_id: parent.id, parameters: { ...parent.parameters, ...parameters } });

describe("a step that branches from another says what is other", () => {
  test.each([
    [with_({ cfg_scale: 5 }), "CFG 7 → 5"],
    [with_({ width: 640, height: 896 }), "size 1024 × 1024 → 640 × 896"],
    [with_({ steps: 40, scheduler: "ddim" }), "steps 30 → 40, Euler → DDIM"],
    [with_({ seed: 2 }), "other seed"],
    [with_({}), "the same settings"],
    [step({ prompt: `${parent.prompt}, heavy snow` }), "+ heavy snow"],
    [step({ prompt: "a valley of hills" }), "− first light"],
    [step({ prompt: "a lake" }), "a lake"],
    [step({ negative_prompt: "hands, text" }), "negative prompt hands, text"],
    [step({ model_key: "n", model_name: "Dunes", parameters: { width: 512, height: 512 } }), "model Dunes"],
  ])("%#: %s", (made, words) => expect(whatChanged(made, parent, [])).toBe(words));

  test("and one that repeats another says so, among the first ones too", () => {
    const older = step();
    const again = step({ parameters: { ...older.parameters, seed: 9 } });
    expect(whatChanged(again, undefined, [older, again])).toBe("other seed");
    expect(whatChanged(older, undefined, [older, again])).toBe("a valley of hills, first light");
  });
});

test("a title is the first thing that is other, else the prompt, and never a bare number", () => {
  expect(stepTitle(with_({ width: 640, height: 896 }), parent)).toBe("Size 1024 × 1024 → 640 × 896");
  expect(stepTitle(step({ prompt: `${parent.prompt}, heavy snow` }), parent)).toBe("Heavy snow");
  expect(stepTitle(with_({ seed: 2 }), parent)).toBe("A valley of hills, first light");
});

test.each([
  ["a valley of layered hills at first light, low sun, mist", "A valley of layered hills at first light"],
  ["hills, low sun, mist between the ridges, and more", "Hills, low sun, mist between the ridges"],
  ["portrait of an old lighthouse keeper with a weathered face", "Portrait of an old lighthouse keeper…"],
  ["a\tlake\nby night", "A lake, by night"],
  [" , ", "New session"],
  ["🏔️".repeat(60), `${"🏔️".repeat(19)}🏔…`],
])("a session that begins with “%s” is called “%s”", (prompt, name) => {
  expect(sessionName(prompt)).toBe(name);
  expect([...sessionName(prompt)].length).toBeLessThanOrEqual(40);
});

test("a text is cut between words, and never within a letter", () => {
  expect(shorten("one two, three four", 10)).toBe("one two…");
  expect(shorten("🌊🌊🌊🌊", 3)).toBe("🌊🌊…");
});
