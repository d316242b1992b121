import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { defaultRangeExtractor, type Range, useVirtual } from "../lib/virtual";
import type { Upload } from "./upload";
import { UploadRow } from "./upload-row";
import { outside, queue } from "./uploads";

/** As in upload.css: a name, and two lines of what is said of it. */
const ROW = 60;
/** With room for a longer reason. */
const HIGH_ROW = 76;
const PAGE = 6;
/** More than can be seen at once: then those that need a look can be shown alone. */
const MANY = 6;
const FOLLOW_MS = 500;

function didNotCome({ status }: Upload): boolean {
  const { at } = status.peek();
  return at === "refused" || at === "failed" || at === "canceled";
}

/** The files, in the order they were added; nothing is drawn but what can be seen. */
export function UploadList() {
  const all = queue.uploads.value;
  const many = outside.value;
  const [only, showOnly] = useState(false);
  const uploads = useMemo(() => (only ? all.filter(didNotCome) : all), [all, only, only ? many : 0]);
  const height = only || all.length <= MANY ? HIGH_ROW : ROW;
  const scroller = useRef<HTMLDivElement>(null);
  const [active, setActive] = useState(0);
  const on = Math.min(active, uploads.length - 1);
  const virtual = useVirtual(
    {
      count: uploads.length,
      getScrollElement: () => scroller.current,
      estimateSize: () => height,
      overscan: 3,
      // The one with the focus stays, wherever the others are scrolled.
      rangeExtractor: (range: Range) => {
        const near = defaultRangeExtractor(range);
        return on < 0 || near.includes(on) ? near : [...near, on].sort((a, b) => a - b);
      },
    },
    `${uploads.length} ${height}`,
  );
  useFollow(scroller, uploads, only, (index) => virtual.scrollToIndex(index, { align: "start" }));
  const step = useStep(scroller, on);

  const keys = (event: KeyboardEvent) => {
    const to = { ArrowDown: on + 1, ArrowUp: on - 1, PageDown: on + PAGE, PageUp: on - PAGE, Home: 0, End: uploads.length }[
      event.key
    ];
    if (to === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const index = Math.max(0, Math.min(uploads.length - 1, to));
    step();
    setActive(index);
    virtual.scrollToIndex(index, { align: "auto" });
  };

  return (
    <>
      {all.length > MANY && (
        <div class="segments uploads-shown" role="group" aria-label="Which files are listed">
          <button type="button" aria-pressed={!only} onClick={() => showOnly(false)}>
            All
          </button>
          <button type="button" aria-pressed={only} onClick={() => showOnly(true)}>
            Not uploaded{many > 0 && ` (${many})`}
          </button>
        </div>
      )}
      <div
        class={`uploads-list scroll ${height === HIGH_ROW ? "high" : ""}`}
        ref={scroller}
        style={{ height: `${all.length > MANY ? MANY * ROW : all.length * HIGH_ROW}px` }}
        data-testid="upload-list"
      >
        <div role="list" aria-label="Files" style={{ height: `${virtual.getTotalSize()}px` }} onKeyDown={keys}>
          {virtual.getVirtualItems().map(({ index, start }) => {
            const one = uploads[index];
            return (
              one && (
                <UploadRow
                  key={one.id}
                  upload={one}
                  top={start}
                  height={height}
                  place={index + 1}
                  of={uploads.length}
                  isStop={index === on}
                  onReach={() => setActive(index)}
                />
              )
            );
          })}
        </div>
        {uploads.length === 0 && <p class="small muted uploads-none">Every file so far was uploaded.</p>}
      </div>
    </>
  );
}

/** After a key, the focus goes to the row it leads to, once that is drawn. */
function useStep(scroller: { current: HTMLElement | null }, on: number): () => void {
  const wanted = useRef(false);
  useLayoutEffect(() => {
    if (!wanted.current) return;
    wanted.current = false;
    scroller.current?.querySelector<HTMLElement>("[data-stop]")?.focus({ preventScroll: true });
  }, [on]);
  return () => (wanted.current = true);
}

/** Keeps what is under way in view, until somebody looks for something else. */
function useFollow(
  scroller: { current: HTMLElement | null },
  uploads: readonly Upload[],
  isOff: boolean,
  show: (index: number) => void,
): void {
  const latest = useRef({ uploads, show });
  latest.current = { uploads, show };
  useEffect(() => {
    if (isOff) return;
    const list = scroller.current!;
    let touched = false;
    const touch = () => (touched = true);
    for (const type of ["touchstart", "wheel"]) list.addEventListener(type, touch, { passive: true });
    let before = -1;
    const timer = setInterval(() => {
      if (touched || list.matches(":hover") || list.contains(document.activeElement)) return;
      const front = latest.current.uploads.findIndex((upload) => !upload.hasEnded);
      if (front < 0 || front === before) return;
      before = front;
      latest.current.show(Math.max(0, front - 1));
    }, FOLLOW_MS);
    return () => {
      clearInterval(timer);
      for (const type of ["touchstart", "wheel"]) list.removeEventListener(type, touch);
    };
  }, [isOff]);
}
