/** How large a picture stands, and which part of it is seen. At level 1 (100 %) a pixel of it is a pixel of CSS. */

interface Point {
  x: number;
  y: number;
}

/** The level at which a picture of this size just fits the area, enlarged where it is smaller. */
export function fitLevel(picture: Point, area: Point): number {
  return Math.min(area.x / picture.x, area.y / picture.y);
}

/** Closer to 100 % than this, the fitting picture and 100 % look the same. */
const SAME = 0.04;

/** Where `z` and a double click lead from the fitting picture: to 100 %, or where that is what one sees, to 200 %. */
export function closeLevel(fit: number): number {
  return Math.abs(fit - 1) < SAME ? 2 : 1;
}

/** A level, and the portion of the picture, from 0 to 1, that is in the middle of the area. */
export interface View {
  level: number;
  middle: Point;
}

/** What is seen of a picture of this size whose top left corner is at `pan`. */
export function viewOf(picture: Point, level: number, pan: Point, middle: Point): View {
  return {
    level,
    middle: { x: (middle.x - pan.x) / (picture.x * level), y: (middle.y - pan.y) / (picture.y * level) },
  };
}

/** Where the top left corner of a picture of this size must be for the same view of it. */
export function panFor(picture: Point, view: View, middle: Point): Point {
  return {
    x: middle.x - view.middle.x * picture.x * view.level,
    y: middle.y - view.middle.y * picture.y * view.level,
  };
}
