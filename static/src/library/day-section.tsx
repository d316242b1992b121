import { count as countOf, dayName } from "../lib/format";
import { useNow } from "../lib/use-now";
import { getPhoto } from "../state/photos";
import { type Day, WHOLE } from "./days";
import type { Slot } from "./developing";
import type { Selection } from "./selection";
import { SlotTile } from "./slot-tile";
import { Tile } from "./tile";
import type { DropMark } from "./use-arrange";

interface DaySectionProps {
  day: Day;
  start: number;
  height: number;
  /** The rows near the view. */
  rows: readonly number[];
  /** The work in these days that has its place in them. */
  slots: readonly Slot[];
  /** Of its photos, also those that are not loaded; null until that is known. */
  count: number | null;
  selection: Selection;
  addressOf: (id: string) => string;
  onOpen: (id: string) => void;
  onChoose: (id: string, extend: boolean) => void;
  onChooseDay: (wanted: boolean) => void;
  /** A photo begins to be dragged; undefined where none can be. */
  onDrag: ((event: DragEvent, id: string) => void) | undefined;
  /** Where dragged photos would stand. */
  mark: DropMark | null;
  /** The photo that Tab stops at; null where it is not of this day. */
  stop: string | null;
}

const MINUTE_MS = 60_000;

/** One day: a header that stays in view, and the rows near the view. */
export function DaySection({
  day,
  start,
  height,
  rows,
  slots,
  count,
  selection,
  addressOf,
  onOpen,
  onChoose,
  onChooseDay,
  onDrag,
  mark,
  stop,
}: DaySectionProps) {
  // "Today" is over at midnight.
  const now = new Date(useNow(MINUTE_MS));
  const name = day.key === WHOLE ? "Album order" : dayName(day.key, now);
  const chosen = selection.chosen.value;
  const all = day.ids.length > 0 && day.ids.every((id) => chosen.has(id));
  return (
    <section class="day" role="rowgroup" aria-label={name} style={{ top: `${start}px`, height: `${height}px` }}>
      <header role="row">
        <div role="gridcell">
          <h2>{name}</h2>
          <span class="small muted day-count">{!!count && countOf(count, "photo")}</span>
          <button
            type="button"
            class="small day-all"
            tabIndex={stop === null ? -1 : 0}
            aria-pressed={all}
            onClick={() => onChooseDay(!all)}
          >
            {all ? "Clear" : "Select all"}
          </button>
        </div>
      </header>
      <div role="row" aria-label={name} class={`tiles ${selection.choosing.value ? "choosing" : ""}`}>
        {rows.flatMap((index) => {
          const row = day.rows[index]!;
          return row.boxes.map((box) => {
            const place = { top: row.top, left: box.left, width: box.width, height: row.height };
            const slot = slots.find(({ id }) => id === box.id);
            if (slot) return <SlotTile key={box.id} slot={slot} box={place} />;
            const photo = getPhoto(box.id);
            return (
              photo && (
                <Tile
                  key={box.id}
                  photo={photo}
                  href={addressOf(box.id)}
                  chosen={chosen.has(box.id)}
                  active={selection.active.value === box.id}
                  isStop={stop === box.id}
                  choosing={selection.choosing.value}
                  box={place}
                  onOpen={onOpen}
                  onChoose={onChoose}
                  onDrag={onDrag}
                  mark={mark?.id === box.id ? mark.side : null}
                  onReach={(id) => selection.active.peek() === null && selection.activate(id)}
                />
              )
            );
          });
        })}
      </div>
    </section>
  );
}
