import type { Virtualizer } from "@tanstack/virtual-core";
import { useKeys } from "../app/keys";
import { onlyPhoto, restorePhotos, type ToPurge, toggleFavorite, trashPhotos } from "../state/photo-actions";
import { type Day, type Direction, type Line, neighbour } from "./days";
import { nearest, type Selection } from "./selection";

interface GridKeys {
  days: readonly Day[];
  lines: readonly Line[];
  selection: Selection;
  virtual: Virtualizer<HTMLElement, Element>;
  scroller: { current: HTMLElement | null };
  onOpen: (id: string) => void;
  trashed: boolean;
  /** Asks first. */
  onPurge: (what: ToPurge) => void;
}

/** Does nothing while the photo is too far away to be drawn. */
export function focusTile(grid: HTMLElement | null, id: string): void {
  grid?.querySelector<HTMLElement>(`[data-photo="${id}"] > a`)?.focus({ preventScroll: true });
}

/** Arrows, view, choose, trash: the grid by keyboard; what is chosen has its keys in the selection bar. Returns what brings a photo into view and focuses it. */
export function useGridKeys({
  days,
  lines,
  selection,
  virtual,
  scroller,
  onOpen,
  trashed,
  onPurge,
}: GridKeys): (id: string) => void {
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

  /** The keys go on to the photo that takes its place. */
  const leave = (id: string) => {
    const ids = days.flatMap((day) => day.ids);
    const next = nearest(ids, id, (other) => other !== id);
    selection.activate(next);
    if (next !== null) reveal(next);
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
    f: withActive((id) => toggleFavorite([id])),
    "ctrl+a": selection.chooseAll,
    Escape: selection.clear,
    Delete: withActive((id) => {
      if (trashed) return onPurge(onlyPhoto(id));
      leave(id);
      void trashPhotos([id]);
    }),
    r: withActive((id) => {
      if (!trashed) return;
      leave(id);
      void restorePhotos([id]);
    }),
  });
  return reveal;
}
