// Where a reader is in a list, kept over changes, pages and reloads.

import { type Signal, signal } from "@preact/signals";
import { useEffect, useLayoutEffect, useMemo, useRef } from "preact/hooks";
import { isStill } from "../lib/responsive";
import type { PhotoList } from "../state/photo-list";
import { type Day, HEADER, type Line } from "./days";

/** Above this the reader is at the top. */
export const AT_TOP = 24;

const ROWS_MARKED = 8;

/** The grid as it is laid out: its days, and the lines of the virtual list. */
interface GridLayout {
  days: readonly Day[];
  lines: readonly Line[];
  /** The sizes that it was laid out for. */
  width: number;
  target: number;
}

/** A photo in view: how far the top of its row is above the line under the day's header, and how high that row was. */
interface Mark {
  id: string;
  past: number;
  height: number;
}

const KEPT = "darkroom.reading-places";

/** Where the reader of each list was who left it, or reloaded the page. */
const left = new Map<string, readonly Mark[]>(isReturn() ? remembered() : []);
/** Where the reader of the list on show is. */
let current: (() => [list: string, marks: readonly Mark[]]) | null = null;

addEventListener("pagehide", () => {
  if (current) left.set(...current());
  try {
    sessionStorage.setItem(KEPT, JSON.stringify([...left]));
  } catch {
    // Storage is full or forbidden: after a reload the library begins at its top.
  }
});

function isReturn(): boolean {
  const [way] = performance.getEntriesByType("navigation") as PerformanceNavigationTiming[];
  return way?.type === "reload" || way?.type === "back_forward";
}

function remembered(): [string, readonly Mark[]][] {
  try {
    return JSON.parse(sessionStorage.getItem(KEPT) ?? "[]") as [string, readonly Mark[]][];
  } catch {
    return [];
  }
}

/** The photos in view, from the top on. */
function marksAt({ days, lines }: Pick<GridLayout, "days" | "lines">, scrolled: number): Mark[] {
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

/** So much is read to come back to a place. */
const MOST_READ = 2_000;

/** Are they older than all that was read so far? */
function isFurtherOn(marks: readonly Mark[], list: PhotoList): boolean {
  const ids = list.ids.peek();
  if (list.ordered) return list.more.peek() && ids.length < MOST_READ && marks.length > 0;
  return list.more.peek() && ids.length < MOST_READ && marks.some(({ id }) => id < ids.at(-1)!);
}

/** How far to scroll for the first of them that is still there to stand where it stood. */
function scrollFor({ days, lines }: Pick<GridLayout, "days" | "lines">, marks: readonly Mark[]): number | null {
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
  return place.top + past - HEADER;
}

/** Rows above are gone, and there is nothing above to scroll to. */
function slideUp(scroller: HTMLElement, by: number): void {
  if (isStill.peek()) return;
  scroller.querySelector(".grid-days")?.animate([{ transform: `translateY(${by}px)` }, { transform: "none" }], {
    duration: 200,
    easing: "ease-out",
  });
}

/**
 * Keeps what the reader looks at in place while rows around it are laid out anew, and until they come back to this list. A reader
 * at the top is brought to rows that came above, as by scrolling: nothing moves by itself within the grid.
 */
export function useReadingPlace(scroller: { current: HTMLElement | null }, layout: GridLayout, list: PhotoList): Climb {
  const name = JSON.stringify(list.filter);
  const before = useRef<GridLayout>({ days: [], lines: [], width: 0, target: 0 });
  const marks = useRef<readonly Mark[]>(left.get(name) ?? []);
  /** Where they were put by those marks: who has not scrolled since is still at them. */
  const put = useRef<number | null>(0);
  const seen = useRef(0);
  const climb = useMemo(() => new Climb(scroller), []);

  const look = (scrolled: number) => {
    if (put.current !== null && Math.abs(scrolled - put.current) < 1) return;
    marks.current = scrolled > AT_TOP ? marksAt(before.current, scrolled) : [];
    put.current = scrolled;
  };

  useEffect(() => {
    const element = scroller.current!;
    const see = () => (seen.current = element.scrollTop);
    element.addEventListener("scroll", see, { passive: true });
    const end = climb.follow(element);
    current = () => {
      look(climb.under.peek() ? 0 : seen.current);
      return [name, marks.current];
    };
    return () => {
      end();
      element.removeEventListener("scroll", see);
      if (current) left.set(...current());
      current = null;
    };
  }, [list]);

  useLayoutEffect(() => {
    const element = scroller.current!;
    // What is too short now, the browser has scrolled up already.
    const atEnd = element.scrollTop >= element.scrollHeight - element.clientHeight - 1;
    const scrolled = atEnd ? seen.current : element.scrollTop;
    look(scrolled);
    if (layout.lines.length === 0) return;
    const same = before.current.width === layout.width && before.current.target === layout.target;
    // Marks at the top are those of a place that is still to be found again.
    const atTop = same && (climb.under.peek() || (scrolled <= AT_TOP && marks.current.length === 0));
    const now = atTop ? marksAt(before.current, scrolled) : marks.current;
    before.current = layout;
    const found = scrollFor(
      layout,
      now.filter(({ id }) => !list.moved.has(id)),
    );
    const wanted = found === null || atTop ? found : Math.max(0, found);
    if (wanted === null && isFurtherOn(marks.current, list)) {
      // A reader who scrolls before it is there stays where they are.
      put.current = seen.current = element.scrollTop;
      return void list.loadMore();
    }
    put.current = null;
    if (wanted === null) return;
    const isAbove = wanted - element.scrollTop >= 1;
    if (atTop && isAbove) climb.begin(wanted);
    else if (atTop && wanted < 0) slideUp(element, -wanted);
    // A scroll under way would be stopped by being told where it is.
    else if (!atTop && Math.abs(wanted - element.scrollTop) >= 1) element.scrollTop = wanted;
    put.current = seen.current = element.scrollTop;
  }, [layout.lines]);

  return climb;
}

/** With these, the reader goes somewhere else. */
const LEAVING = ["wheel", "pointerdown", "touchstart", "keydown"];

/** The way up to rows that came above the top: by scrolling, until it is over or the reader scrolls. */
class Climb {
  readonly under: Signal<boolean> = signal(false);

  constructor(readonly scroller: { current: HTMLElement | null }) {}

  /** What stood at the top stands there now; from here it goes up. */
  begin(top: number): void {
    const element = this.scroller.current!;
    // What is short can be scrolled too.
    element.style.setProperty("--spare", `${element.clientHeight + top}px`);
    element.scrollTop = top;
    this.start();
  }

  start(): void {
    this.under.value = true;
    // Once what came stands above, in a frame of its own.
    requestAnimationFrame(() => requestAnimationFrame(() => this.#scroll()));
  }

  /** Returns what ends it. */
  follow(element: HTMLElement): () => void {
    const arrive = () => this.#arrive(element);
    const leave = () => {
      if (element.scrollTop >= 1) this.under.value = false;
    };
    element.addEventListener("scroll", arrive, { passive: true });
    for (const type of LEAVING) document.addEventListener(type, leave, { passive: true });
    return () => {
      element.removeEventListener("scroll", arrive);
      for (const type of LEAVING) document.removeEventListener(type, leave);
    };
  }

  #arrive(element: HTMLElement): void {
    if (element.scrollTop >= 1) return;
    element.style.removeProperty("--spare");
    this.under.value = false;
  }

  #scroll(): void {
    const element = this.scroller.current;
    if (!element || !this.under.peek()) return;
    element.scrollTo({ top: 0, behavior: isStill.peek() ? "instant" : "smooth" });
    // Where what came found room in a row, there is nothing to scroll.
    this.#arrive(element);
  }
}
