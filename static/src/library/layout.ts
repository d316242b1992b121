// Rows of photos, and how rows on show stay where they are when others come.

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
  /** Of a row that was begun above rows on show: how wide the room for newer pictures is, at its left. Undefined of any other. */
  room?: number;
}

/** What is laid out: a photo, or the slot of one that is being made. Newer ones have greater ids. */
export interface Entry {
  id: string;
  /** Width by height. */
  ratio: number;
  /** The slot in whose place this photo stands, if it had one. */
  slot?: string | null;
}

export const GAP = 4;
/** How much higher or lower than wanted a row may be. */
const TOLERANCE = 0.25;
/** The last picture of a row is cut to this part of its width, at most, or widened by as much, to fill the row. */
const CUT = 0.8;

/** Rows of equal height that fill the width; the last stays ragged. The only place that knows the layout library. */
export function layOutRows(entries: readonly Entry[], width: number, target: number): Row[] {
  const { boxes } = justifiedLayout(
    entries.map(({ ratio }) => ratio),
    {
      containerWidth: width,
      containerPadding: 0,
      boxSpacing: GAP,
      targetRowHeight: target,
      targetRowHeightTolerance: TOLERANCE,
      showWidows: true,
    },
  );
  const rows: Row[] = [];
  boxes.forEach((box, index) => {
    let row = rows.at(-1);
    if (!row || Math.abs(row.top - box.top) > 1) {
      row = { top: box.top, height: box.height, boxes: [] };
      rows.push(row);
    }
    row.boxes.push({ id: entries[index]!.id, left: box.left, width: box.width });
  });
  return rows;
}

/** A day for the first time; slots stand above its photos, in the place that these will take. */
export function layOutDay(entries: readonly Entry[], width: number, target: number): Row[] {
  const slots = entries.filter(({ id }) => isSlot(id));
  const photos = entries.filter(({ id }) => !isSlot(id));
  return stack([...growRows([], slots, width, target), ...layOutRows(photos, width, target)]);
}

/**
 * Lays out again what stands in rows already, and moves nothing that can stay. What is newer than `newest` fills rows of its own
 * above them, from the right on, so that the next one finds room at the left. Below, rows stay up to the first that changed.
 */
export function layOutAgain(
  before: { rows: readonly Row[]; newest: string },
  entries: readonly Entry[],
  width: number,
  target: number,
): Row[] {
  const present = new Set(entries.map(({ id }) => id));
  const grown = standing(
    before.rows.filter((row) => row.room !== undefined),
    entries,
    present,
  );
  // A gap in the middle of a row is closed.
  if (grown === null) return layOutDay(entries, width, target);
  const below = before.rows.filter((row) => row.room === undefined);
  const placed = new Set(grown.flatMap(idsOf));
  const old = new Set(below.flatMap(idsOf));
  const arrived = entries.filter(({ id }) => !placed.has(id) && !old.has(id) && id > before.newest);
  const arrivals = new Set(arrived.map(({ id }) => id));
  const rest = entries.filter(({ id }) => !placed.has(id) && !arrivals.has(id));
  return stack([...growRows(grown, arrived, width, target), ...keepRows(below, rest, width, target)]);
}

/** Rows with those slots as photos that became some, and without those that became none. Null if a photo is here no longer. */
function standing(rows: readonly Row[], entries: readonly Entry[], present: ReadonlySet<string>): Row[] | null {
  const photos = new Map(entries.filter(({ slot }) => slot).map(({ id, slot }) => [slot!, id]));
  const after = rows.map((row) => ({ ...row, boxes: row.boxes.map((box) => ({ ...box, id: photos.get(box.id) ?? box.id })) }));
  const gone = after.flatMap(idsOf).filter((id) => !present.has(id));
  if (!gone.every(isSlot)) return null;
  return after
    .map((row) => ({ ...row, boxes: row.boxes.filter(({ id }) => present.has(id)) }))
    .filter((row) => row.boxes.length > 0);
}

/** Slots have greater ids than all photos. */
const SLOT = "~";

export function slotId(item: string): string {
  return SLOT + item;
}

export function isSlot(id: string): boolean {
  return id.startsWith(SLOT);
}

function idsOf(row: Row): string[] {
  return row.boxes.map(({ id }) => id);
}

/** Rows with what is newer, from the oldest on: each stands left of the one before, or begins a row above. */
function growRows(rows: readonly Row[], arrived: readonly Entry[], width: number, target: number): Row[] {
  const grown = [...rows];
  for (const entry of arrived.toReversed()) {
    const top = grown[0];
    const put = top && putInto(top, entry);
    if (put) grown[0] = put;
    else grown.unshift(begin(entry, width, target));
  }
  return grown;
}

/** As high as is right for pictures of this shape to fill the row. */
function begin(entry: Entry, width: number, target: number): Row {
  const many = Math.max(1, Math.round((width + GAP) / (entry.ratio * target + GAP)));
  const exact = ((width + GAP) / many - GAP) / entry.ratio;
  const height = Math.min(target * (1 + TOLERANCE), Math.max(target * (1 - TOLERANCE), exact));
  const row = { top: 0, height, boxes: [], room: width };
  return putInto(row, entry) ?? putInto(row, { ...entry, ratio: width / height })!;
}

/** Null where it is too wide for the room that is left. */
function putInto(row: Row, { id, ratio }: Entry): Row | null {
  const room = row.room ?? 0;
  const wanted = ratio * row.height;
  if (room < wanted * CUT) return null;
  // The last one takes what would be too little for another.
  const width = room * CUT <= wanted ? room : wanted;
  const left = room - width;
  return { ...row, boxes: [{ id, left, width }, ...row.boxes], room: Math.max(0, left - GAP) };
}

/** The rows above the first that changed, and the rest in rows of its own. */
function keepRows(rows: readonly Row[], entries: readonly Entry[], width: number, target: number): Row[] {
  let same = 0;
  let at = 0;
  while (same < rows.length && rows[same]!.boxes.every(({ id }, index) => entries[at + index]?.id === id)) {
    at += rows[same]!.boxes.length;
    same += 1;
  }
  if (same === rows.length && at === entries.length) return [...rows];
  // The last row is as high as the one above it, which is laid out with it.
  const kept = Math.max(0, same - 1);
  const before = rows.slice(0, kept).reduce((sum, row) => sum + row.boxes.length, 0);
  return [...rows.slice(0, kept), ...layOutRows(entries.slice(before), width, target)];
}

function stack(rows: readonly Row[]): Row[] {
  let top = 0;
  return rows.map((row) => {
    const placed = { ...row, top };
    top += row.height + GAP;
    return placed;
  });
}
