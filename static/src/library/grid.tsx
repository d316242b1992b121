import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { count } from "../lib/format";
import { rowHeight } from "../lib/preferences";
import { isPhone } from "../lib/responsive";
import { defaultRangeExtractor, type Range, useVirtual } from "../lib/virtual";
import { beginDrag, canDrag } from "../photo/drag";
import { movedTo } from "../state/album-actions";
import { shownInPlace } from "../state/items";
import type { ToPurge } from "../state/photo-actions";
import type { PhotoList } from "../state/photo-list";
import { DaySection } from "./day-section";
import { type Day, HEADER, type Line, layOutDays, linesOf } from "./days";
import { Developing, type Slot } from "./developing";
import { focusTile, useGridKeys } from "./grid-keys";
import { useHold } from "./hold";
import { isSlot } from "./layout";
import { useReadingPlace } from "./reading-place";
import { chooseDay, type Selection } from "./selection";
import { useArrange } from "./use-arrange";
import { targetOf } from "./use-chosen";
import { useDayCount } from "./use-list";

interface GridProps {
  list: PhotoList;
  /** Nothing new may come in above, wherever the reader has scrolled to. */
  held: boolean;
  selection: Selection;
  addressOf: (id: string) => string;
  onOpen: (id: string) => void;
  /** Asks first. */
  onPurge: (what: ToPurge) => void;
}

const MARGIN = 16;
const PHONE_ROW = 120;
/** Not more work than this stands above the photos: two or three rows. */
const SLOTS = 12;
const SLOTS_ON_PHONE = 4;
/** Fetch on when so little is left below, in pixels. */
const AHEAD = 2_400;

export function Grid({ list, held, selection, addressOf, onOpen, onPurge }: GridProps) {
  const scroller = useRef<HTMLDivElement>(null);
  const width = useWidth(scroller) - (isPhone.value ? 0 : 2 * MARGIN);
  const target = isPhone.value ? PHONE_ROW : rowHeight.value;
  const ids = list.ids.value;
  const developing = useMemo(() => new Developing(list, isPhone.peek() ? SLOTS_ON_PHONE : SLOTS), [list]);
  useEffect(() => developing.follow(), [developing]);
  const slots = developing.open(ids);
  const slotIds = slots.map(({ id }) => id).join();

  const before = useRef<{ days: Day[]; width: number; target: number }>({ days: [], width: 0, target: 0 });
  const { mark, handlers } = useArrange(list);
  const days = useMemo(() => {
    const making = { slots, slotOf: (id: string) => developing.slotOf(id) };
    const same = before.current.width === width && before.current.target === target;
    const laidOut = width > 0 ? layOutDays(ids, making, width, target, same ? before.current.days : [], list.ordered) : [];
    before.current = { days: laidOut, width, target };
    return laidOut;
  }, [ids, slotIds, width, target]);
  const lines = useMemo(() => linesOf(days), [days]);
  const { starts, total } = useMemo(() => heightsOf(lines), [lines]);

  const active = selection.active.value;
  const drag = (event: DragEvent, id: string) => {
    const { ids: chosen, all } = targetOf(list, selection);
    const isOne = !selection.chosen.peek().has(id);
    // The tile stays drawn, wherever the grid is scrolled to.
    selection.activate(id);
    const onAdded = isOne ? () => undefined : selection.clear;
    beginDrag(event, { list, ids: isOne ? [id] : chosen, all: isOne ? null : all, onAdded });
  };
  const activeLine = useMemo(() => (active === null ? -1 : lineOf(active, days, lines)), [active, lines]);
  /** The focused tile stays, wherever the others are scrolled. */
  const rangeExtractor = useMemo(
    () => (range: Range) => {
      const near = defaultRangeExtractor(range);
      return activeLine < 0 || near.includes(activeLine) ? near : [...near, activeLine].sort((a, b) => a - b);
    },
    [activeLine],
  );
  const virtual = useVirtual(
    {
      count: lines.length,
      getScrollElement: () => scroller.current,
      estimateSize: (index) => lines[index]!.size,
      overscan: 3,
      scrollPaddingStart: HEADER,
      rangeExtractor,
    },
    lines,
  );

  const climb = useReadingPlace(scroller, { days, lines, width, target }, list);
  useLoadAhead(list, scroller, total);
  useHold(list, held, scroller, selection);
  const showNew = () => {
    if (list.waiting.peek() === 0) return;
    list.release();
    climb.start();
  };
  const firstInView = firstFrom(virtual.range?.startIndex ?? 0, days, lines);
  const reveal = useGridKeys({
    list,
    days,
    lines,
    selection,
    virtual,
    scroller,
    firstInView,
    onOpen,
    showNew,
    trashed: list.filter.trashed,
    onPurge,
  });
  useReturn(held, () => selection.active.peek() !== null && reveal(selection.active.peek()!));
  useSelectionsFocus(scroller, selection);

  const stop = activeLine < 0 ? firstInView : active;
  /** Of the day that is not wholly loaded. */
  const unfinished = list.more.value && !list.ordered ? (days.at(-1)?.key ?? null) : null;
  const dayCount = useDayCount(list, unfinished);
  const visible = virtual.getVirtualItems();
  useShownInPlace(
    visible.map(({ index }) => lines[index]),
    days,
    slots,
  );
  const shownDays = [...new Set(visible.map((line) => lines[line.index]?.day))].filter((day) => day !== undefined);

  return (
    <div class="grid scroll" ref={scroller} data-testid="grid" {...handlers}>
      <span class="hidden-text" role="status">
        {list.waiting.value > 0 && count(list.waiting.value, "new photo")}
      </span>
      {list.ordered && (
        <span class="hidden-text" role="status">
          {movedTo.value}
        </span>
      )}
      <div
        class="grid-days"
        role="grid"
        aria-label="Photos"
        aria-multiselectable="true"
        aria-rowcount={-1}
        style={{ height: `calc(${total}px + var(--spare, 0px))` }}
      >
        {shownDays.map((index) => {
          const day = days[index]!;
          const rows = visible.filter((line) => lines[line.index]?.day === index).map((line) => lines[line.index]!.row);
          return (
            <DaySection
              key={day.key}
              day={day}
              start={starts[index]!}
              height={(starts[index + 1] ?? total) - starts[index]!}
              rows={rows.filter((row) => row !== null)}
              count={list.ordered && list.more.value ? null : day.key === unfinished ? dayCount : day.ids.length}
              mark={mark}
              slots={slots}
              selection={selection}
              addressOf={addressOf}
              onOpen={onOpen}
              onChooseDay={(wanted) => {
                if (!list.ordered) void chooseDay(list, selection, day.key, wanted);
                else if (wanted) selection.chooseAll();
                else selection.clear();
              }}
              onDrag={canDrag && !list.filter.trashed ? (event, id) => drag(event, id) : undefined}
              stop={stop !== null && day.ids.includes(stop) ? stop : null}
              onChoose={(id, extend) => (extend ? selection.extendTo(id, ids) : selection.toggle(id))}
            />
          );
        })}
      </div>
      {list.waiting.value > 0 && !climb.under.value && (
        <button type="button" class="new-pill" data-testid="new-pill" onClick={showNew}>
          {list.waiting.value} new
        </button>
      )}
    </div>
  );
}

/** What the grid shows of the work is not shown in the tray too. */
function useShownInPlace(near: readonly (Line | undefined)[], days: readonly Day[], slots: readonly Slot[]): void {
  const boxes = new Set(
    near.flatMap((line) => (line?.row == null ? [] : days[line.day]!.rows[line.row]!.boxes.map(({ id }) => id))),
  );
  const keys = slots.filter(({ id }) => boxes.has(id)).map(({ live }) => live.key);
  useEffect(() => {
    shownInPlace.value = new Set(keys);
    return () => {
      shownInPlace.value = new Set();
    };
  }, [keys.join()]);
}

/** The line that a photo stands in, or -1. */
function lineOf(id: string, days: readonly Day[], lines: readonly Line[]): number {
  return lines.findIndex(({ day, row }) => row !== null && days[day]!.rows[row]!.boxes.some((box) => box.id === id));
}

/** The first photo from this line on. */
function firstFrom(line: number, days: readonly Day[], lines: readonly Line[]): string | null {
  for (const { day, row } of lines.slice(line)) {
    const box = row === null ? undefined : days[day]!.rows[row]!.boxes.find(({ id }) => !isSlot(id));
    if (box) return box.id;
  }
  return null;
}

/** Back from the viewer, the reader stands on the photo seen last. */
function useReturn(away: boolean, arrive: () => void): void {
  const was = useRef(away);
  useEffect(() => {
    if (was.current && !away) arrive();
    was.current = away;
  }, [away]);
}

/** The focus that goes with the selection's bar comes to the photo that the keys stand on. */
function useSelectionsFocus(scroller: { current: HTMLElement | null }, selection: Selection): void {
  const choosing = selection.choosing.value;
  useEffect(() => {
    if (choosing || document.activeElement !== document.body) return;
    const active = selection.active.peek();
    if (active !== null) focusTile(scroller.current, active);
  }, [choosing]);
}

/** Where each day starts, and where the last one ends. */
function heightsOf(lines: readonly Line[]): { starts: number[]; total: number } {
  const starts: number[] = [];
  let top = 0;
  for (const line of lines) {
    if (line.row === null) starts.push(top);
    top += line.size;
  }
  return { starts, total: top };
}

function useWidth(element: { current: HTMLElement | null }): number {
  const [width, setWidth] = useState(0);
  useLayoutEffect(() => {
    const target = element.current!;
    const observer = new ResizeObserver(() => setWidth(target.clientWidth));
    observer.observe(target);
    setWidth(target.clientWidth);
    return () => observer.disconnect();
  }, []);
  return width;
}

function useLoadAhead(list: PhotoList, scroller: { current: HTMLElement | null }, total: number): void {
  useEffect(() => {
    const element = scroller.current!;
    const check = () => {
      const left = element.scrollHeight - element.scrollTop - element.clientHeight;
      if (left < AHEAD && list.more.peek() && !list.loading.peek() && !list.error.peek()) void list.loadMore();
    };
    check();
    element.addEventListener("scroll", check, { passive: true });
    return () => element.removeEventListener("scroll", check);
  }, [list, total, list.loading.value]);
}
