import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { type Day, HEADER, type Line } from "./days";

/** Above this the reader is at the top, and new photos may push the rest down. */
export const AT_TOP = 24;

const ROWS_MARKED = 8;

export interface Laid {
  days: readonly Day[];
  lines: readonly Line[];
}

/** A photo in view: how far the top of its row is above the line under the day's header, and how high that row was. */
interface Mark {
  id: string;
  past: number;
  height: number;
}

/** Where the reader of each list was who left it. */
const left = new Map<string, readonly Mark[]>();

/** The photos in view, from the top on. */
function marksAt({ days, lines }: Laid, scrolled: number): Mark[] {
  const marks: Mark[] = [];
  let rows = 0;
  let top = 0;
  for (const { day, row, size } of lines) {
    if (row !== null && top + size > scrolled + HEADER) {
      const { boxes, height } = days[day]!.rows[row]!;
      for (const { id } of boxes) marks.push({ id, past: scrolled + HEADER - top, height });
      rows += 1;
      if (rows === ROWS_MARKED) break;
    }
    top += size;
  }
  return marks;
}

/** How far to scroll for the first of them that is still there to stand where it stood. */
function scrollFor({ days, lines }: Laid, marks: readonly Mark[]): number | null {
  const places = new Map<string, { top: number; height: number }>();
  let top = 0;
  for (const { day, row, size } of lines) {
    if (row !== null) {
      const { boxes, height } = days[day]!.rows[row]!;
      for (const { id } of boxes) places.set(id, { top, height });
    }
    top += size;
  }
  const mark = marks.find(({ id }) => places.has(id));
  if (!mark) return null;
  const place = places.get(mark.id)!;
  // A row that is partly above the line stays so in proportion to its height.
  const past = mark.past > 0 ? (mark.past * place.height) / mark.height : mark.past;
  return Math.max(0, place.top + past - HEADER);
}

/** Keeps what the reader looks at in place, whatever is laid out anew around it, and until they come back to this list. */
export function useReadingPlace(scroller: { current: HTMLElement | null }, laid: Laid, list: string): void {
  const before = useRef<Laid>({ days: [], lines: [] });
  const marks = useRef<readonly Mark[]>(left.get(list) ?? []);
  /** Where they were put by those marks: who has not scrolled since is still at them. */
  const put = useRef<number | null>(0);
  const seen = useRef(0);

  const look = (scrolled: number) => {
    if (put.current !== null && Math.abs(scrolled - put.current) < 1) return;
    marks.current = scrolled > AT_TOP ? marksAt(before.current, scrolled) : [];
    put.current = scrolled;
  };

  useEffect(() => {
    const element = scroller.current!;
    const see = () => (seen.current = element.scrollTop);
    element.addEventListener("scroll", see, { passive: true });
    return () => {
      element.removeEventListener("scroll", see);
      look(seen.current);
      left.set(list, marks.current);
    };
  }, [list]);

  useLayoutEffect(() => {
    const element = scroller.current!;
    // What is too short now, the browser has scrolled up already.
    const atEnd = element.scrollTop >= element.scrollHeight - element.clientHeight - 1;
    look(atEnd ? seen.current : element.scrollTop);
    if (laid.lines.length === 0) return;
    before.current = laid;
    const wanted = scrollFor(laid, marks.current);
    put.current = null;
    if (wanted === null) return;
    // A scroll under way would be stopped by being told where it is.
    if (Math.abs(wanted - element.scrollTop) >= 1) element.scrollTop = wanted;
    put.current = seen.current = element.scrollTop;
  }, [laid.lines]);
}
