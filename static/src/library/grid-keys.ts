import type { Virtualizer } from "@tanstack/virtual-core";
import { useKeys } from "../app/keys";
import { toggleFavorite, trashPhotos } from "../state/photo-actions";
import { getPhoto } from "../state/photos";
import { type Day, type Direction, type Line, neighbour } from "./days";
import { nearest, type Selection } from "./selection";

interface GridKeys {
  days: readonly Day[];
  lines: readonly Line[];
  selection: Selection;
  virtual: Virtualizer<HTMLElement, Element>;
  scroller: { current: HTMLElement | null };
  onOpen: (id: string) => void;
}

/** Does nothing while the photo is too far away to be drawn. */
export function focusTile(grid: HTMLElement | null, id: string): void {
  grid?.querySelector<HTMLElement>(`[data-photo="${id}"] > a`)?.focus({ preventScroll: true });
}

/** Arrows, view, choose, trash: the grid by keyboard. Returns what brings a photo into view and focuses it. */
export function useGridKeys({ days, lines, selection, virtual, scroller, onOpen }: GridKeys): (id: string) => void {
  const move = (direction: Direction, extend: boolean) => {
    const from = selection.active.peek();
    const to = neighbour(days, from, direction);
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

  const withActive = (act: (id: string) => void) => () => {
    const id = selection.active.peek();
    if (id !== null) act(id);
  };

  useKeys({
    ArrowLeft: () => move("left", false),
    ArrowRight: () => move("right", false),
    ArrowUp: () => move("up", false),
    ArrowDown: () => move("down", false),
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
