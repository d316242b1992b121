interface Fit {
  columns: number;
  width: number;
  height: number;
}

const GAP = 8;
const IN_ONE_VIEW = 4;
const SMALLEST = 200;

/** Boxes on a phone: as wide as they can be, and the page scrolls. */
export function stackBoxes(count: number, ratio: number, width: number): Fit {
  const columns = count > IN_ONE_VIEW || (count > 1 && ratio < 1) ? 2 : 1;
  const box = Math.floor((width - GAP * (columns - 1)) / columns);
  return { columns, width: box, height: Math.round(box / ratio) };
}

/** The largest equal boxes of one shape: up to four fit the view, more of them scroll. */
export function fitBoxes(count: number, ratio: number, width: number, height: number): Fit {
  if (count > IN_ONE_VIEW) {
    const columns = Math.max(2, Math.min(4, Math.floor((width + GAP) / (SMALLEST + GAP))));
    const box = Math.floor((width - GAP * (columns - 1)) / columns);
    return { columns, width: box, height: Math.round(box / ratio) };
  }
  let best: Fit = { columns: 1, width: 0, height: 0 };
  for (let columns = 1; columns <= count; columns += 1) {
    const rows = Math.ceil(count / columns);
    const across = (width - GAP * (columns - 1)) / columns;
    const down = ((height - GAP * (rows - 1)) / rows) * ratio;
    const box = Math.floor(Math.min(across, down));
    // Side by side reads better than one above the other, where the sizes are much the same.
    if (box > best.width * (columns > 1 ? 0.9 : 1)) best = { columns, width: box, height: Math.round(box / ratio) };
  }
  return best;
}
