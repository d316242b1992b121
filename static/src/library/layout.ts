import justifiedLayout from "justified-layout";

interface Placed {
  id: string;
  left: number;
  width: number;
}

export interface Row {
  top: number;
  height: number;
  boxes: Placed[];
}

export const GAP = 4;

/** Rows of equal height that fill the width; the last stays ragged. The only place that knows the layout library. */
export function layOutRows(ids: readonly string[], ratios: readonly number[], width: number, target: number): Row[] {
  const { boxes } = justifiedLayout([...ratios], {
    containerWidth: width,
    containerPadding: 0,
    boxSpacing: GAP,
    targetRowHeight: target,
    targetRowHeightTolerance: 0.25,
    showWidows: true,
  });
  const rows: Row[] = [];
  boxes.forEach((box, index) => {
    let row = rows.at(-1);
    if (!row || Math.abs(row.top - box.top) > 1) {
      row = { top: box.top, height: box.height, boxes: [] };
      rows.push(row);
    }
    row.boxes.push({ id: ids[index]!, left: box.left, width: box.width });
  });
  return rows;
}
