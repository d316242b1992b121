import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { rowHeight } from "../app/preferences";
import { isPhone } from "../app/responsive";
import { useVirtual } from "../app/virtual";
import type { PhotoList } from "../state/photo-list";
import { DaySection } from "./day-section";
import { type Day, HEADER, type Line, layOutDays, linesOf } from "./days";
import { focusTile, useGridKeys } from "./grid-keys";
import { useHold } from "./hold";
import { useReadingPlace } from "./reading-place";
import type { Selection } from "./selection";

interface GridProps {
  list: PhotoList;
  /** Nothing new may come in above, wherever the reader has scrolled to. */
  held: boolean;
  selection: Selection;
  addressOf: (id: string) => string;
  onOpen: (id: string) => void;
}

const MARGIN = 16;
const PHONE_ROW = 120;
/** Fetch on when so little is left below, in pixels. */
const AHEAD = 2_400;

export function Grid({ list, held, selection, addressOf, onOpen }: GridProps) {
  const scroller = useRef<HTMLDivElement>(null);
  const width = useWidth(scroller) - (isPhone.value ? 0 : 2 * MARGIN);
  const target = isPhone.value ? PHONE_ROW : rowHeight.value;
  const ids = list.ids.value;

  const before = useRef<{ days: Day[]; width: number; target: number }>({ days: [], width: 0, target: 0 });
  const days = useMemo(() => {
    const same = before.current.width === width && before.current.target === target;
    const laidOut = width > 0 ? layOutDays(ids, width, target, same ? before.current.days : []) : [];
    before.current = { days: laidOut, width, target };
    return laidOut;
  }, [ids, width, target]);
  const lines = useMemo(() => linesOf(days), [days]);
  const { starts, total } = useMemo(() => heightsOf(lines), [lines]);

  const virtual = useVirtual(
    {
      count: lines.length,
      getScrollElement: () => scroller.current,
      estimateSize: (index) => lines[index]!.size,
      overscan: 3,
      scrollPaddingStart: HEADER,
    },
    lines,
  );

  const climb = useReadingPlace(scroller, { days, lines, width, target }, JSON.stringify(list.filter));
  useLoadAhead(list, scroller, total);
  useHold(list, held, scroller, climb, selection);
  const reveal = useGridKeys({ days, lines, selection, virtual, scroller, onOpen });
  useReturn(held, () => selection.active.peek() !== null && reveal(selection.active.peek()!));
  useSelectionsFocus(scroller, selection);

  const showNew = () => {
    list.release();
    climb.start();
  };

  const visible = virtual.getVirtualItems();
  const shownDays = [...new Set(visible.map((line) => lines[line.index]?.day))].filter((day) => day !== undefined);

  return (
    <div class="grid scroll" ref={scroller} data-testid="grid">
      <div class="grid-days" style={{ height: `calc(${total}px + var(--spare, 0px))` }}>
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
              whole={!list.more.value || index < days.length - 1}
              selection={selection}
              addressOf={addressOf}
              onOpen={onOpen}
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
