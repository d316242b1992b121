// Sizes to choose from, by base model.

const SIDES: Record<string, number> = { "sd-1": 512, "sd-2": 768 };

/** The side of a square that a base was trained on. */
export function nativeSide(base: string | undefined): number {
  return SIDES[base ?? ""] ?? 1024;
}

type Shape = readonly [name: string, width: number, height: number];

const SHAPES: Record<number, readonly Shape[]> = {
  512: [
    ["Square", 512, 512],
    ["Portrait", 512, 768],
    ["Landscape", 768, 512],
    ["Tall", 432, 768],
    ["Wide", 768, 432],
  ],
  768: [
    ["Square", 768, 768],
    ["Portrait", 640, 960],
    ["Landscape", 960, 640],
    ["Tall", 576, 1024],
    ["Wide", 1024, 576],
  ],
  1024: [
    ["Square", 1024, 1024],
    ["Portrait", 832, 1216],
    ["Landscape", 1216, 832],
    ["Tall", 768, 1344],
    ["Wide", 1344, 768],
  ],
};

/** Shapes at about the area that a base was trained on. */
export function shapesOf(base: string | undefined): readonly Shape[] {
  return SHAPES[nativeSide(base)]!;
}
