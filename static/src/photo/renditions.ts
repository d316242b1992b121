// Which rendition of a photo is sharp in a box.

import type { Photo } from "../api/types";

export interface Box {
  width: number;
  height: number;
}

/** Attributes of an `<img>`. */
interface Sources {
  src: string;
  srcset?: string;
  sizes?: string;
}

/** More than this many device pixels for each of the large rendition's are seen as a blur. */
const BLURRED = 1.25;
/** A rendition that was cropped has another proportion than its photo, by more than rounding can tell. */
const CROPPED = 1.05;

/** The renditions for a box of CSS pixels that the picture fills: the smallest that is sharp in it. Without a box, the small one. */
export function sourcesFor(photo: Photo, box: Box | undefined, pixelRatio: number): Sources {
  const [small, large] = photo.image_set;
  if (small === undefined) return { src: photo.thumbnail_url };
  if (large === undefined || box === undefined) return { src: small.url };
  const drawn = Math.max(box.width, (box.height * small.width) / small.height);
  // Of two that are near, Chromium takes the smaller one though it is not sharp: up to their geometric mean.
  const leastForLarge = Math.ceil(Math.sqrt(small.width * large.width) / pixelRatio) + 1;
  const isSharp = drawn * pixelRatio <= small.width + 1;
  const sizes = isSharp ? Math.floor(small.width / pixelRatio) : Math.max(Math.ceil(drawn), leastForLarge);
  return { src: small.url, srcset: `${small.url} ${small.width}w, ${large.url} ${large.width}w`, sizes: `${sizes}px` };
}

/** The largest rendition that shows the whole picture, for the viewer; undefined where only the original does. */
export function wholeRendition(photo: Photo): Photo["image_set"][number] | undefined {
  const largest = photo.image_set.at(-1);
  return largest && !isCropped(photo, largest) ? largest : undefined;
}

/** The small rendition, to stand in for the picture until it is loaded. */
export function standIn(photo: Photo): string | undefined {
  const small = photo.image_set[0];
  return small && !isCropped(photo, small) ? small.url : undefined;
}

function isCropped(photo: Photo, rendition: Box): boolean {
  const change = (photo.width * rendition.height) / (photo.height * rendition.width);
  const rounding = 1 + 1 / Math.min(rendition.width, rendition.height);
  return Math.max(change, 1 / change) > Math.max(CROPPED, rounding);
}

interface Zoom {
  /** CSS pixels for each of the picture's. */
  level: number;
  /** The level at which it fits the window. */
  fit: number;
  pixelRatio: number;
  isPhone: boolean;
}

/** Whether a rendition so wide is no longer enough: at 100 % and beyond, or where the original has more to show. */
export function needsOriginal(photo: Photo, rendition: Box, { level, fit, pixelRatio, isPhone }: Zoom): boolean {
  const isZoomed = level > fit * 1.01;
  if (level >= 1 && (isZoomed || !isPhone)) return true;
  if (photo.width <= rendition.width) return false;
  const drawn = level * photo.width * pixelRatio;
  return drawn > rendition.width * (isZoomed ? 1 : BLURRED);
}
