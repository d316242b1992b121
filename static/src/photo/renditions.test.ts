import { describe, expect, it } from "vitest";
import type { Photo } from "../api/types";
import { needsOriginal, sourcesFor, standIn, wholeRendition } from "./renditions";

const SMALL = { url: "/small", width: 360, height: 240 };
const LARGE = { url: "/large", width: 1080, height: 720 };

function photoOf(changes: Partial<Photo> = {}): Photo {
  return { thumbnail_url: "/thumbnail", url: "/file", width: 1536, height: 1024, image_set: [SMALL, LARGE], ...changes } as Photo;
}

/** What Chromium takes of a `srcset` (its ImageCandidate selection). */
function chosen(srcset: string, sizes: string, pixelRatio: number): number {
  const density = (width: number) => width / Number.parseInt(sizes, 10);
  const widths = srcset.split(", ").map((one) => Number.parseInt(one.split(" ")[1]!, 10));
  for (let at = 0; at < widths.length - 1; at += 1) {
    const [now, next] = [density(widths[at]!), density(widths[at + 1]!)];
    if (next < pixelRatio) continue;
    if ((pixelRatio <= 1 && pixelRatio > now) || pixelRatio >= Math.sqrt(now * next)) return widths[at + 1]!;
    return widths[at]!;
  }
  return widths.at(-1)!;
}

describe("the rendition of a box", () => {
  it.each([0.8, 1, 1.25, 1.5, 2, 3])("is sharp, and no larger than needed, at %d device pixels for each pixel", (pixelRatio) => {
    for (let width = 40; width <= 900; width += 1) {
      const { srcset, sizes } = sourcesFor(photoOf(), { width, height: (width * 2) / 3 }, pixelRatio);
      const needed = width * pixelRatio;
      expect(chosen(srcset!, sizes!, pixelRatio), `${width} px`).toBe(needed <= 361 ? 360 : 1080);
    }
  });

  it("is chosen by what is drawn of a strip that fills its box", () => {
    const strip = photoOf({
      width: 3000,
      height: 300,
      image_set: [
        { url: "/small", width: 360, height: 75 },
        { url: "/large", width: 1080, height: 108 },
      ],
    });
    const { srcset, sizes } = sourcesFor(strip, { width: 320, height: 80 }, 1);
    expect(chosen(srcset!, sizes!, 1)).toBe(1080);
  });

  it("is the small one where there is no other, or no box", () => {
    expect(sourcesFor(photoOf({ image_set: [SMALL] }), { width: 900, height: 600 }, 2)).toEqual({ src: "/small" });
    expect(sourcesFor(photoOf(), undefined, 2)).toEqual({ src: "/small" });
    expect(sourcesFor(photoOf({ image_set: [] }), { width: 900, height: 600 }, 2)).toEqual({ src: "/thumbnail" });
  });
});

describe("the viewer", () => {
  it("shows no rendition that was cropped", () => {
    expect(wholeRendition(photoOf())).toBe(LARGE);
    expect(standIn(photoOf())).toBe("/small");
    const strip = photoOf({
      width: 6000,
      height: 300,
      image_set: [
        { url: "/small", width: 360, height: 75 },
        { url: "/large", width: 1080, height: 75 },
      ],
    });
    expect(wholeRendition(strip)).toBeUndefined();
    expect(standIn(strip)).toBeUndefined();
    const partly = photoOf({
      width: 3000,
      height: 300,
      image_set: [
        { url: "/small", width: 360, height: 75 },
        { url: "/large", width: 1080, height: 108 },
      ],
    });
    expect(wholeRendition(partly)?.url).toBe("/large");
    expect(standIn(partly)).toBeUndefined();
    expect(wholeRendition(photoOf({ image_set: [] }))).toBeUndefined();
  });

  const at = (level: number, fit: number, pixelRatio = 1, isPhone = false) => ({ level, fit, pixelRatio, isPhone });

  it("needs the original at 100 %, and where it has more to show", () => {
    expect(needsOriginal(photoOf(), LARGE, at(0.6, 0.6))).toBe(false);
    expect(needsOriginal(photoOf(), LARGE, at(1, 0.6))).toBe(true);
    expect(needsOriginal(photoOf(), LARGE, at(0.6, 0.6, 2))).toBe(true);
    const asLarge = photoOf({ width: 1024, height: 1024 });
    expect(needsOriginal(asLarge, { width: 1024, height: 1024 }, at(0.8, 0.8, 2))).toBe(false);
    expect(needsOriginal(asLarge, { width: 1024, height: 1024 }, at(1, 0.8, 2))).toBe(true);
    expect(needsOriginal(asLarge, { width: 1024, height: 1024 }, at(1.3, 1.3))).toBe(true);
  });

  it("loads no original on a phone before it is zoomed", () => {
    expect(needsOriginal(photoOf(), LARGE, at(0.26, 0.26, 3, true))).toBe(false);
    expect(needsOriginal(photoOf({ width: 256, height: 256 }), { width: 256, height: 256 }, at(1.5, 1.5, 3, true))).toBe(false);
    expect(needsOriginal(photoOf(), LARGE, at(0.4, 0.26, 3, true))).toBe(true);
  });
});
