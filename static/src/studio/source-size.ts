// The size that follows the source's aspect.

import type { Model } from "../api/types";
import { areaOf, LEAST, MOST } from "./model-change";
import { shapesOf } from "./shapes";

interface Size {
  width: number;
  height: number;
}

/** A size whose area is that near to the model's usual one is as good. */
const NEAR = 1.25;
/** Sides are multiples of 8: what is cropped because of that alone goes unsaid. */
const GRID = 8;

/**
 * The size of a picture that is made from this one: of its aspect, at the model's usual area. The source's own size
 * where that is near enough.
 */
export function sizeFromSource(source: Size, model: Model | undefined): Size {
  const isShape = shapesOf(model?.base).some(([, width, height]) => width === source.width && height === source.height);
  const area = areaOf(model);
  const own = source.width * source.height;
  const isNear = own <= area * NEAR && own >= area / NEAR;
  if (isShape || (isNear && isSide(source.width) && isSide(source.height))) return { width: source.width, height: source.height };
  const scale = Math.sqrt(area / own);
  return { width: side(source.width * scale), height: side(source.height * scale) };
}

function isSide(pixels: number): boolean {
  return pixels % GRID === 0 && pixels >= LEAST && pixels <= MOST;
}

function side(pixels: number): number {
  return Math.min(MOST, Math.max(LEAST, Math.round(pixels / GRID) * GRID));
}

/** Which part of the source has the aspect that was asked for; null where that is all of it, or nearly. */
export function cropOf(source: Size, wanted: Size): Size | null {
  const aspect = wanted.width / wanted.height;
  const width = Math.min(source.width, Math.round(source.height * aspect));
  const height = Math.min(source.height, Math.round(source.width / aspect));
  const slack = GRID / Math.min(wanted.width, wanted.height);
  const isWhole = width >= source.width * (1 - slack) && height >= source.height * (1 - slack);
  return isWhole ? null : { width, height };
}
