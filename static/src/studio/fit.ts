// How large the boxes of a step's pictures are.

interface Fit {
  columns: number;
  width: number;
  height: number;
}

const GAP = 8;
const IN_ONE_VIEW = 4;
const SMALLEST = 200;
/** Room for what a box says while its picture is being made. */
const LOWEST = 44;
/** Of a phone's width: about what is in view of its height, also where something stands below the pictures. */
const PHONE_VIEW = 1.6;

/** Boxes on a phone: as wide as they can be, and the page scrolls. */
export function stackBoxes(count: number, ratio: number, width: number): Fit {
  const columns = count > IN_ONE_VIEW || (count > 1 && ratio < 1) ? 2 : 1;
  return scrollingBoxes(count, ratio, width, width * PHONE_VIEW, columns);
}

/** The largest equal boxes of one shape: up to four fit the view, more of them scroll. */
export function fitBoxes(count: number, ratio: number, width: number, height: number): Fit {
  if (count > IN_ONE_VIEW) {
    const columns = Math.max(2, Math.min(4, columnsOf(SMALLEST, width)));
    return scrollingBoxes(count, ratio, width, height, columns);
  }
  let best: Fit = { columns: 1, width: 0, height: 0 };
  for (let columns = 1; columns <= count; columns += 1) {
    const rows = Math.ceil(count / columns);
    const across = (width - GAP * (columns - 1)) / columns;
    const down = ((height - GAP * (rows - 1)) / rows) * ratio;
    const box = Math.floor(Math.min(across, down));
    // Side by side reads better than one above the other, where the sizes are much the same.
    if (box > best.width * (columns > 1 ? 0.9 : 1)) best = { columns, width: box, height: heightOf(box, ratio) };
  }
  return best;
}

/** None is higher than the view, if that is one: where that makes them narrower, more stand side by side. */
function scrollingBoxes(count: number, ratio: number, width: number, view: number, columns: number): Fit {
  const across = Math.floor((width - GAP * (columns - 1)) / columns);
  const box = Math.min(across, Math.floor(Math.max(view, SMALLEST) * ratio));
  return { columns: Math.max(columns, Math.min(count, columnsOf(box, width))), width: box, height: heightOf(box, ratio) };
}

function columnsOf(box: number, width: number): number {
  return Math.floor((width + GAP) / (box + GAP));
}

function heightOf(box: number, ratio: number): number {
  return Math.max(LOWEST, Math.round(box / ratio));
}
