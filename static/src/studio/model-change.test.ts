import { describe, expect, test } from "vitest";
import type { Model } from "../api/types";
import { BLANK, type Draft } from "./draft";
import { changeModel, NO_MEMORY, withModel } from "./model-change";

function model(key: string, base: string, settings: object = {}): Model {
  return { key, backend_id: "b", base, default_settings: settings } as unknown as Model;
}

const small = model("small", "sd-1", { steps: 24, cfg_scale: 7 });
const medium = model("medium", "sd-2");
const large = model("large", "sdxl", { width: 1024, height: 1024, steps: 30, scheduler: "euler" });

function sizes({ width, height }: Draft): [number, number] {
  return [width, height];
}

describe("another model", () => {
  test("brings its own size and numbers where nothing was chosen by hand", () => {
    const { draft } = changeModel(withModel(BLANK, small), small, large, NO_MEMORY);
    expect(draft).toEqual(withModel(BLANK, large));
  });

  test("keeps what was typed, and the shape at its own area; back again, all is as it was", () => {
    const typed = { ...withModel(BLANK, small), width: 768, height: 432, steps: 33, scheduler: "ddim" };
    const there = changeModel(typed, small, large, NO_MEMORY);
    expect(there.draft).toMatchObject({ width: 1344, height: 768, steps: 33, cfg: null, scheduler: "ddim" });
    const back = changeModel(there.draft, large, small, there.memory);
    expect(back.draft).toEqual(typed);
  });

  test.each([
    [768, 432],
    [1000, 520],
    [64, 512],
  ])("keeps the ratio of %d × %d over three models and gives it back", (width, height) => {
    const typed = { ...withModel(BLANK, small), width, height };
    const second = changeModel(typed, small, medium, NO_MEMORY);
    const third = changeModel(second.draft, medium, large, second.memory);
    const [across, down] = sizes(third.draft);
    expect((across % 8) + (down % 8)).toBe(0);
    expect(across / down / (width / height)).toBeCloseTo(1, 1);
    expect((across * down) / 1024 ** 2).toBeCloseTo(1, 1);
    expect(sizes(changeModel(third.draft, large, small, third.memory).draft)).toEqual([width, height]);
  });

  test("has not its former value where another was chosen meanwhile", () => {
    const there = changeModel({ ...withModel(BLANK, small), steps: 33, width: 512, height: 768 }, small, large, NO_MEMORY);
    const back = changeModel({ ...there.draft, steps: 40 }, large, small, there.memory);
    expect(back.draft).toMatchObject({ steps: 40, width: 512, height: 768 });
  });

  test("of the same area leaves the size alone; and after one that has gone, a size that fits", () => {
    const typed = { ...withModel(BLANK, large), width: 1000, height: 1200 };
    expect(sizes(changeModel(typed, large, model("other", "sdxl"), NO_MEMORY).draft)).toEqual([1000, 1200]);
    expect(sizes(changeModel(typed, undefined, model("other", "sdxl"), NO_MEMORY).draft)).toEqual([1000, 1200]);
    expect(sizes(changeModel(typed, undefined, small, NO_MEMORY).draft)).toEqual([464, 560]);
  });
});
