import { beforeEach, describe, expect, test } from "vitest";
import { beginChange, type Change, endChange, forgetPhoto, getPhoto, putPhoto, spokenState } from "./photos";

type Photo = Parameters<typeof putPhoto>[0];

function photo(values: Partial<Photo> = {}): Photo {
  const plain = { id: "a", rating: 0, pick: null, caption: null, generation_prompt: null, filename: "a.png", seed: 7 };
  return { ...plain, created_at: "2026-11-29T12:00:00Z", retrieval_status: "completed", ...values } as Photo;
}

const rate =
  (rating: number): Change =>
  (one) => ({ ...one, rating });
const pick: Change = (one) => ({ ...one, pick: "pick" });
const shown = () => getPhoto("a")?.peek();

describe("a change that is not answered yet", () => {
  beforeEach(() => {
    forgetPhoto("a");
    putPhoto(photo());
  });

  test("stays on show on top of what the service tells", () => {
    beginChange("a", pick);
    putPhoto(photo({ rating: 3 }));
    expect(shown()).toMatchObject({ rating: 3, pick: "pick" });
  });

  test("is part of the photo once it is answered", () => {
    const three = rate(3);
    beginChange("a", three);
    endChange("a", three, true);
    expect(shown()?.rating).toBe(3);
  });

  test("gives way to what the feed told after it", () => {
    const three = rate(3);
    beginChange("a", three);
    putPhoto(photo({ rating: 5 }));
    endChange("a", three, true);
    expect(shown()?.rating).toBe(5);
  });

  test("is taken back where it failed, and others stay", () => {
    const three = rate(3);
    beginChange("a", three);
    beginChange("a", pick);
    endChange("a", three, false);
    expect(shown()).toMatchObject({ rating: 0, pick: "pick" });
    endChange("a", pick, true);
    expect(shown()).toMatchObject({ rating: 0, pick: "pick" });
  });

  test("and the one after it: where both fail, the photo is as it was", () => {
    const [three, four] = [rate(3), rate(4)];
    beginChange("a", three);
    beginChange("a", four);
    endChange("a", three, false);
    expect(shown()?.rating).toBe(4);
    endChange("a", four, false);
    expect(shown()?.rating).toBe(0);
  });
});

test("a rating and a flag are heard with the name", () => {
  expect(spokenState(photo({ rating: 1, pick: "reject" }))).toMatch(/^a\.png, seed 7, .*, 1 star, rejected$/);
  expect(spokenState(photo())).not.toMatch(/star|flag|rejected|picked/);
});
