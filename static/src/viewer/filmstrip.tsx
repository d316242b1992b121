import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { useVirtual } from "../lib/virtual";
import { Picture } from "../photo/picture";
import { getPhoto, spokenState } from "../state/photos";

const CELL = 52;

/** The neighbours of the shown photo, one row of thumbnails. */
export function Filmstrip({ ids, index, onMove }: { ids: readonly string[]; index: number; onMove: (id: string) => void }) {
  const scroller = useRef<HTMLDivElement>(null);
  const virtual = useVirtual(
    { count: ids.length, getScrollElement: () => scroller.current, estimateSize: () => CELL, horizontal: true, overscan: 6 },
    ids.length,
  );
  const centre = () => virtual.scrollToIndex(index, { align: "center" });
  useEffect(centre, [index, ids.length]);
  // The inspector comes and goes beside it.
  const latest = useRef(centre);
  latest.current = centre;
  useLayoutEffect(() => {
    const observer = new ResizeObserver(() => latest.current());
    observer.observe(scroller.current!);
    return () => observer.disconnect();
  }, []);
  return (
    <div class="filmstrip" ref={scroller} data-testid="filmstrip">
      <ul style={{ width: `${virtual.getTotalSize()}px` }}>
        {virtual.getVirtualItems().map((cell) => {
          const id = ids[cell.index]!;
          const photo = getPhoto(id);
          return (
            photo && (
              <li key={id} style={{ left: `${cell.start}px` }}>
                <button
                  type="button"
                  aria-label={spokenState(photo.value)}
                  aria-current={cell.index === index ? "true" : undefined}
                  onClick={() => onMove(id)}
                >
                  <Picture photo={photo} />
                </button>
              </li>
            )
          );
        })}
      </ul>
    </div>
  );
}
