import { expect, test } from "vitest";
import type { LineageChanges } from "../api/types";
import { changeWords, madeFrom, madeInto, shortChange } from "./lineage-words";

const NOTHING: LineageChanges = {
  prompt: { added: [], removed: [] },
  negative_prompt: { added: [], removed: [] },
  parameters: [],
};
const WINTER: LineageChanges = {
  prompt: { added: ["snow"], removed: ["summer"] },
  negative_prompt: { added: ["people"], removed: [] },
  parameters: [
    { name: "seed", before: 1, after: 2 },
    { name: "width", before: 512, after: 768 },
    { name: "height", before: 768, after: 512 },
    { name: "cfg_scale", before: 7, after: 5.5 },
    { name: "strength", before: null, after: 0.6 },
    { name: "loras", before: "ink 0.8", after: null },
  ],
};

test("all that changed is told, each on its own", () => {
  expect(changeWords(WINTER)!.map(({ kind, words }) => `${kind}: ${words}`)).toEqual([
    "added: + snow",
    "removed: − summer",
    "added: negative + people",
    "parameter: seed 1 → 2",
    "parameter: size 512 × 768 → 768 × 512",
    "parameter: CFG scale 7 → 5.5",
    "parameter: strength 0.6",
    "parameter: no LoRAs",
  ]);
  expect(changeWords(null)).toBeNull();
});

test("a sentence tells a picture's source, role and changes", () => {
  const change = { ...WINTER, negative_prompt: NOTHING.prompt, parameters: [WINTER.parameters[0]!, WINTER.parameters[4]!] };
  expect(madeFrom("a lake", "init image", change)).toBe("made from a lake with strength 0.6; prompt + snow − summer; seed 1 → 2");
  expect(madeInto("a lake", "control", NOTHING)).toBe("made into a lake as control image");
  expect(madeFrom("a lake", "mask", null)).toBe("made from a lake as mask");
});

test("a label tells a seed only where nothing else changed", () => {
  const seed = { name: "seed", before: 1, after: 2 } as const;
  expect(shortChange({ changes: { ...NOTHING, parameters: [seed] } })).toBe("other seed");
  expect(shortChange({ changes: { ...NOTHING, prompt: { added: ["snow"], removed: [] }, parameters: [seed] } })).toBe("+ snow");
  expect(shortChange({ changes: NOTHING })).toBe("the same settings");
  expect(shortChange({ changes: null })).toBe("");
});
