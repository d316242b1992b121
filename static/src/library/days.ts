// The days of the library: their photos, rows and lines, and where the arrow keys lead.

import { dayKey } from "../lib/format";
import { sameIds } from "../state/photo-list";
import { getPhoto } from "../state/photos";
import { type Entry, GAP, isSlot, layOutAgain, layOutDay, type Row } from "./layout";

export interface Day {
  key: string;
  /** Its photos. */
  ids: string[];
  /** What stands in its rows: slots, and photos. */
  entries: string[];
  rows: Row[];
  /** The newest photo that had its place here before others arrived above. */
  newest: string;
}

/** One line of the virtual list: a day's header, or one of its rows. */
export interface Line {
  day: number;
  /** Null for the header. */
  row: number | null;
  size: number;
}

export const HEADER = 44;
const DAY_GAP = 12;

/** A photo's day never changes, and telling it takes time. */
const known = new Map<string, string>();

/** Undefined for a photo that was purged a moment ago. */
function dayOf(id: string): string | undefined {
  const photo = getPhoto(id)?.peek();
  if (!photo) return undefined;
  let day = known.get(id);
  if (day === undefined) {
    day = dayKey(photo.created_at);
    known.set(id, day);
  }
  return day;
}

/** In an album's order all photos stand in one group. */
export const WHOLE = "whole";

function groupByDay(ids: readonly string[], slots: readonly string[], today: string): { key: string; entries: string[] }[] {
  const days: { key: string; entries: string[] }[] = slots.length > 0 ? [{ key: today, entries: [...slots] }] : [];
  for (const id of ids) {
    const key = dayOf(id);
    if (key === undefined) continue;
    const last = days.at(-1);
    if (last?.key === key) last.entries.push(id);
    else days.push({ key, entries: [id] });
  }
  return days;
}

function ratioOf(id: string): number {
  const { width, height } = getPhoto(id)!.peek();
  return width > 0 && height > 0 ? Math.min(4, Math.max(0.25, width / height)) : 1;
}

/** What is being made for a list: its slots, newest first, and the slot that a photo took the place of. */
interface InTheMaking {
  slots: readonly { id: string; ratio: number }[];
  slotOf: (photo: string) => string | null;
}

/** Lays days out, and only those again that changed since `before`: there, what is on show stays where it is. */
export function layOutDays(
  ids: readonly string[],
  making: InTheMaking,
  width: number,
  target: number,
  before: readonly Day[],
  ordered = false,
): Day[] {
  if (ordered) return [layOutWhole(ids, width, target, before[0])];
  const old = new Map(before.map((day) => [day.key, day]));
  const newest = before.length > 0 ? latestOf(before.flatMap((day) => [day.newest, ...day.ids.slice(0, 1)])) : null;
  const ratios = new Map(making.slots.map(({ id, ratio }) => [id, ratio]));
  return groupByDay(ids, [...ratios.keys()], dayKey(new Date().toISOString())).map(({ key, entries: own }) => {
    const same = old.get(key);
    if (same && sameIds(same.entries, own)) return same;
    const isAbove = newest !== null && own.at(-1)! > newest;
    const known = same ?? (isAbove ? { entries: [], ids: [], rows: [], newest } : undefined);
    const was = new Set(known?.entries);
    const entries: Entry[] = own.map((id) => {
      const ratio = ratios.get(id);
      const isNew = known !== undefined && ratio === undefined && !was.has(id);
      return { id, ratio: ratio ?? ratioOf(id), slot: isNew ? making.slotOf(id) : null };
    });
    const rows = known ? layOutAgain(known, entries, width, target) : layOutDay(entries, width, target);
    const photos = own.filter((id) => !isSlot(id));
    const isGrown = known !== undefined && rows.some((row) => row.room !== undefined);
    return { key, ids: photos, entries: own, rows, newest: isGrown ? known.newest : latestOf([...(known?.ids ?? []), ...photos]) };
  });
}

function layOutWhole(ids: readonly string[], width: number, target: number, before: Day | undefined): Day {
  const entries = ids.filter((id) => getPhoto(id) !== undefined);
  if (before && sameIds(before.entries, entries)) return before;
  const rows = layOutDay(
    entries.map((id) => ({ id, ratio: ratioOf(id) })),
    width,
    target,
  );
  return { key: WHOLE, ids: entries, entries, rows, newest: "" };
}

function latestOf(ids: readonly string[]): string {
  return [...ids].sort().at(-1) ?? "";
}

export function linesOf(days: readonly Day[]): Line[] {
  return days.flatMap((day, index) => [
    { day: index, row: null, size: HEADER },
    ...day.rows.map((row, at) => ({ day: index, row: at, size: row.height + (at === day.rows.length - 1 ? DAY_GAP : GAP) })),
  ]);
}

export type Direction = "left" | "right" | "up" | "down";

/** The photo next to `from` in a direction; up and down go to the nearest middle. */
export function neighbour(days: readonly Day[], from: string | null, direction: Direction): string | null {
  const rows = rowsOfPhotos(days);
  const at = rows.findIndex((row) => row.boxes.some((box) => box.id === from));
  if (at < 0) return rows[0]?.boxes[0]?.id ?? null;
  const own = rows[at]!.boxes.findIndex((box) => box.id === from);
  if (direction === "left") return rows[at]!.boxes[own - 1]?.id ?? rows[at - 1]?.boxes.at(-1)?.id ?? null;
  if (direction === "right") return rows[at]!.boxes[own + 1]?.id ?? rows[at + 1]?.boxes[0]?.id ?? null;
  const row = rows[direction === "up" ? at - 1 : at + 1];
  return row ? nearestTo(rows[at]!.boxes[own]!, row) : null;
}

/** The photo a view further up or down, in the last row that such a view would show; at least one row further. */
export function aViewAway(days: readonly Day[], from: string | null, by: number): string | null {
  const rows = rowsOfPhotos(days);
  const at = rows.findIndex((row) => row.boxes.some((box) => box.id === from));
  if (at < 0) return rows[0]?.boxes[0]?.id ?? null;
  const wanted = rows[at]!.top + by;
  const far = by > 0 ? rows.findLastIndex((row) => row.top <= wanted) : rows.findIndex((row) => row.top >= wanted);
  const to = by > 0 ? Math.max(far, at + 1) : Math.min(far, at - 1);
  const row = rows[Math.min(rows.length - 1, Math.max(0, to))]!;
  return nearestTo(rows[at]!.boxes.find((box) => box.id === from)!, row);
}

export function firstOf(days: readonly Day[]): string | null {
  return rowsOfPhotos(days)[0]?.boxes[0]?.id ?? null;
}

export function lastOf(days: readonly Day[]): string | null {
  return rowsOfPhotos(days).at(-1)?.boxes.at(-1)?.id ?? null;
}

/** All rows that hold a photo, with their places in the whole grid; slots are no place to stand on. */
function rowsOfPhotos(days: readonly Day[]): Row[] {
  const rows: Row[] = [];
  let top = 0;
  for (const { day, row, size } of linesOf(days)) {
    const boxes = row === null ? [] : days[day]!.rows[row]!.boxes.filter(({ id }) => !isSlot(id));
    if (boxes.length > 0) rows.push({ ...days[day]!.rows[row!]!, top, boxes });
    top += size;
  }
  return rows;
}

function nearestTo(box: { left: number; width: number }, row: Row): string {
  const middle = box.left + box.width / 2;
  const distance = (one: { left: number; width: number }) => Math.abs(one.left + one.width / 2 - middle);
  return row.boxes.reduce((best, one) => (distance(one) < distance(best) ? one : best)).id;
}
