import { describe, expect, test } from "vitest";
import type { Model } from "../api/types";
import { cropOf, sizeFromSource } from "./source-size";

const model = (base: string, settings: Record<string, unknown> | null = null) => ({ base, default_settings: settings }) as Model;
const size = (width: number, height: number) => ({ width, height });

describe("the size that follows a source", () => {
  test.each([
    ["sdxl", size(4000, 3000), size(1184, 888)],
    ["sd-1", size(4000, 3000), size(592, 440)],
    ["sd-2", size(3000, 3000), size(768, 768)],
    ["sdxl", size(301, 200), size(1256, 832)],
  ])("has its aspect at the area of %s", (base, source, wanted) => {
    expect(sizeFromSource(source, model(base))).toEqual(wanted);
  });

  test("is the source's own where that is about the model's area, or one of its shapes", () => {
    expect(sizeFromSource(size(1216, 832), model("sdxl"))).toEqual(size(1216, 832));
    expect(sizeFromSource(size(512, 768), model("sd-1"))).toEqual(size(512, 768));
    expect(sizeFromSource(size(1001, 1001), model("sdxl"))).toEqual(size(1024, 1024));
  });

  test("has the area of the model's own settings", () => {
    expect(sizeFromSource(size(2000, 1000), model("sdxl", { width: 512, height: 512 }))).toEqual(size(728, 360));
  });

  test.each([size(20_000, 100), size(10, 30_000), size(1, 1)])("has sides that can be made from any source", (source) => {
    for (const side of Object.values(sizeFromSource(source, model("sdxl")))) {
      expect(side % 8).toBe(0);
      expect(side).toBeGreaterThanOrEqual(64);
      expect(side).toBeLessThanOrEqual(4096);
    }
  });
});

describe("what is left of a source of another aspect", () => {
  test("is the largest part that has the aspect asked for", () => {
    expect(cropOf(size(1200, 800), size(512, 512))).toEqual(size(800, 800));
    expect(cropOf(size(800, 1200), size(1024, 512))).toEqual(size(800, 400));
  });

  test("is all of it where the aspects are the same, or as near as multiples of 8 come", () => {
    expect(cropOf(size(1216, 832), size(608, 416))).toBeNull();
    for (const source of [size(4000, 3000), size(301, 200), size(1333, 999)]) {
      expect(cropOf(source, sizeFromSource(source, model("sdxl")))).toBeNull();
    }
  });
});
