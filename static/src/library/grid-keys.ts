import type { Virtualizer } from "@tanstack/virtual-core";
import { useRef } from "preact/hooks";
import { useKeys } from "../app/keys";
import { toggleFavorite, trashPhotos } from "../state/photo-actions";
import { getPhoto } from "../state/photos";
import { aViewAway, type Day, type Direction, firstOf, HEADER, type Line, lastOf, neighbour } from "./days";
import { nearest, type Selection } from "./selection";

interface GridKeys {
  days: readonly Day[];
  lines: readonly Line[];
  selection: Selection;
  virtual: Virtualizer<HTMLElement, Element>;
  scroller: { current: HTMLElement | null };
  /** Where the keys begin. */
  firstInView: string | null;
  onOpen: (id: string) => void;
  /** Shows what waits behind the pill. */
  showNew: () => void;
}

/** Does nothing while the photo is too far away to be drawn. */
export function focusTile(grid: HTMLElement | null, id: string): void {
  grid?.querySelector<HTMLElement>(`[data-photo="${id}"] > a`)?.focus({ preventScroll: true });
}

/** Arrows, view, choose, trash: the grid by keyboard. Returns what brings a photo into view and focuses it. */
export function useGridKeys(options: GridKeys): (id: string) => void {
  const { days, lines, selection, virtual, scroller, firstInView, onOpen, showNew } = options;

  const move = (direction: Direction, extend: boolean) => {
    const from = selection.active.peek();
    go(from === null ? firstInView : neighbour(days, from, direction), extend);
  };

  const leaf = (views: number, extend: boolean) => {
    const height = (scroller.current?.clientHeight ?? 0) - HEADER;
    go(aViewAway(days, selection.active.peek() ?? firstInView, views * height), extend);
  };

  const go = (to: string | null, extend: boolean) => {
    const from = selection.active.peek();
    if (to === null) return;
    const ids = days.flatMap((day) => day.ids);
    if (extend && from !== null && !selection.chosen.peek().has(from)) selection.toggle(from);
    if (extend) selection.extendTo(to, ids);
    selection.activate(to);
    reveal(to);
  };

  const reveal = (id: string) => {
    const line = lines.findIndex((one) => one.row !== null && days[one.day]!.rows[one.row]!.boxes.some((box) => box.id === id));
    if (line < 0) return;
    // The first row comes with its day's header.
    virtual.scrollToIndex(lines[line]!.row === 0 ? line - 1 : line, { align: "auto" });
    requestAnimationFrame(() => focusTile(scroller.current, id));
  };

  /** To the newest, also to what has waited behind the pill: that is laid out by the next frame. */
  const home = (extend: boolean) => {
    showNew();
    requestAnimationFrame(() => goHome.current?.(extend));
  };
  const goHome = useRef<((extend: boolean) => void) | null>(null);
  goHome.current = (extend) => go(firstOf(days), extend);

  const withActive = (act: (id: string) => void) => () => {
    const id = selection.active.peek();
    if (id !== null) act(id);
  };

  useKeys({
    ArrowLeft: () => move("left", false),
    ArrowRight: () => move("right", false),
    ArrowUp: () => move("up", false),
    ArrowDown: () => move("down", false),
    Home: () => home(false),
    End: () => go(lastOf(days), false),
    PageUp: () => leaf(-1, false),
    PageDown: () => leaf(1, false),
    "shift+Home": () => home(true),
    "shift+End": () => go(lastOf(days), true),
    "shift+PageUp": () => leaf(-1, true),
    "shift+PageDown": () => leaf(1, true),
    "shift+ArrowLeft": () => move("left", true),
    "shift+ArrowRight": () => move("right", true),
    "shift+ArrowUp": () => move("up", true),
    "shift+ArrowDown": () => move("down", true),
    Enter: withActive(onOpen),
    " ": withActive(onOpen),
    "ctrl+ ": withActive(selection.toggle),
    f: () => {
      const chosen = [...selection.chosen.peek()];
      const active = selection.active.peek();
      if (chosen.length || active) toggleFavorite(chosen.length ? chosen : [active!]);
    },
    "ctrl+a": () => selection.chooseAll(days.flatMap((day) => day.ids)),
    Escape: () => selection.clear(),
    Delete: () => {
      const chosen = [...selection.chosen.peek()];
      const active = selection.active.peek();
      const ids = (chosen.length ? chosen : active ? [active] : []).filter((id) => getPhoto(id)?.peek().deleted_at === null);
      if (!ids.length) return;
      const leaving = new Set(ids);
      const stays = (id: string) => !leaving.has(id);
      const next =
        active && leaving.has(active)
          ? nearest(
              days.flatMap((day) => day.ids),
              active,
              stays,
            )
          : active;
      selection.drop(ids);
      selection.activate(next);
      if (next !== null) reveal(next);
      void trashPhotos(ids);
    },
  });
  return reveal;
}
