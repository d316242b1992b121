import { describe, expect, test } from "vitest";
import type { Model } from "../api/types";
import type { StepState } from "../state/steps";
import { BLANK, fromStep } from "./draft";
import { branchOf } from "./parent";

const model = { key: "m", backend_id: "b", base: "sdxl", default_settings: { steps: 30 } } as unknown as Model;

function step(id: string, parent_id: string | null, status: StepState["status"]): StepState {
  return {
    id,
    parent_id,
    status,
    prompt: "hills",
    negative_prompt: "",
    backend_id: "b",
    model_key: "m",
    source_photo_id: null,
    parameters: { width: 1024, height: 1024, steps: 30, cfg_scale: 7 },
  } as unknown as StepState;
}

const tree = [
  step("root", null, "completed"),
  step("failed", "root", "failed"),
  step("canceled", "failed", "canceled"),
  step("live", "canceled", "processing"),
  step("done", "live", "completed"),
  step("alone", null, "failed"),
];
const find = (id: string | null) => tree.find((one) => one.id === id);
const draftOf = (id: string, prompt: string) => ({ ...fromStep(find(id)!, BLANK, []), prompt });
const parentOf = (id: string, prompt: string) => branchOf(draftOf(id, prompt), model, find(id)!, find, []).parent?.id ?? null;

describe("the next step branches from", () => {
  test.each([
    ["done", "done"],
    ["live", "root"],
    ["canceled", "root"],
    ["failed", "root"],
    ["alone", null],
  ])("the nearest completed one, of %s: %s", (chosen, parent) => expect(parentOf(chosen, "a lake")).toBe(parent));

  test.each([
    ["done", "root"],
    ["root", null],
    ["live", "root"],
  ])("what the chosen one branches from, where nothing is changed, of %s: %s", (chosen, parent) =>
    expect(parentOf(chosen, "hills")).toBe(parent),
  );

  test("the chosen one, once a number is other than what it was made with", () => {
    const chosen = find("done")!;
    const same = { ...draftOf("done", "hills"), steps: null, batch: 7, seed: 4 };
    expect(branchOf(same, model, chosen, find, []).parent?.id).toBe("root");
    expect(branchOf({ ...same, cfg: 5 }, model, chosen, find, []).parent?.id).toBe("done");
    expect(branchOf(same, { ...model, default_settings: { steps: 20 } } as unknown as Model, chosen, find, []).parent?.id).toBe(
      "done",
    );
    expect(branchOf(same, { ...model, key: "other" } as Model, chosen, find, []).parent?.id).toBe("done");
  });

  test("says why it is not the chosen one", () => {
    const why = (id: string) => branchOf(draftOf(id, "a lake"), model, find(id)!, find, []).why;
    expect(why("done")).toBeNull();
    expect(why("failed")).toMatch(/failed/);
    expect(why("canceled")).toMatch(/was canceled/);
    expect(why("live")).toMatch(/not done yet/);
    expect(why("alone")).toMatch(/none before it is done/);
  });
});
