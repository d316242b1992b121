import { describe, expect, test } from "vitest";
import type { Photo } from "../api/types";
import { madeWith } from "./facts";

function photo(known: Partial<Photo>): Photo {
  const nothing = {
    model_name: null,
    model_base: null,
    loras: null,
    seed: null,
    backend_id: null,
    source: "mirrored",
    is_generated: true,
    params_summary: null,
    generation_params: null,
  };
  return { ...nothing, width: 512, height: 768, ...known } as Photo;
}

function told(facts: ReturnType<typeof madeWith>): Record<string, string> {
  return Object.fromEntries(facts.map(({ name, value }) => [name, value]));
}

describe("how a photo was made", () => {
  test("is told by its summary, without all of its metadata", () => {
    const summary = { steps: 30, cfg_scale: 0, scheduler: "euler", strength: null };
    expect(told(madeWith(photo({ params_summary: summary }), null))).toEqual({
      Size: "512 × 768",
      Steps: "30",
      "CFG scale": "0",
      Scheduler: "euler",
    });
  });

  test("has no fact of which nothing is known", () => {
    expect(told(madeWith(photo({}), photo({})))).toEqual({ Size: "512 × 768" });
  });

  test.each([
    [{ taken_from: "comfyui" }, "ComfyUI"],
    [{ taken_from: "graph" }, "InvokeAI"],
    [{ taken_from: ["comfyui"] }, "InvokeAI"],
    [null, "InvokeAI"],
  ])("has a place for an upload's program before it is read: %o", (generation_params, program) => {
    const upload = photo({ source: "uploaded" });
    const before = madeWith(upload, null);
    const after = madeWith(upload, photo({ source: "uploaded", generation_params }));
    expect(told(before)["Made with"]).toBe("…");
    expect(told(after)["Made with"]).toBe(program);
    expect(after.map((fact) => fact.name)).toEqual(before.map((fact) => fact.name));
  });

  test("names no program of an upload that tells nothing", () => {
    expect(told(madeWith(photo({ source: "uploaded", is_generated: false }), null))).toEqual({ Size: "512 × 768" });
  });
});
