// The keys of the grid.

import type { Virtualizer } from "@tanstack/virtual-core";
import { useRef } from "preact/hooks";
import { type KeyMap, useKeys } from "../lib/keys";
import { openAsSource } from "../photo/source-address";
import { movePhotos } from "../state/album-actions";
import { flag, markKeys, rate, toggleFavorite } from "../state/marks";
import { onlyPhoto, restorePhotos, type ToPurge, trashPhotos } from "../state/photo-actions";
import type { PhotoList } from "../state/photo-list";
import { getPhoto } from "../state/photos";
import { moveWithin, type Where } from "./arrange";
import { aViewAway, type Day, type Direction, firstOf, HEADER, type Line, lastOf, neighbour } from "./days";
import { nearest, type Selection } from "./selection";

interface GridKeys {
  list: PhotoList;
  days: readonly Day[];
  lines: readonly Line[];
  selection: Selection;
  virtual: Virtualizer<HTMLElement, Element>;
  scroller: { current: HTMLElement | null };
  /** Where the keys begin. */
  firstInView: string | null;
  onOpen: (id: string) => void;
  trashed: boolean;
  /** Asks first. */
  onPurge: (what: ToPurge) => void;
  /** Shows what waits behind the pill. */
  showNew: () => void;
}

/** False while the photo is too far away to be drawn. */
export function focusTile(grid: HTMLElement | null, id: string): boolean {
  const link = grid?.querySelector<HTMLElement>(`[data-photo="${id}"] > a`);
  link?.focus({ preventScroll: true });
  return link != null;
}

/** Arrows, view, choose, trash: the grid by keyboard; what is chosen has its keys in the selection bar. Returns what brings a photo into view and focuses it. */
export function useGridKeys(options: GridKeys): (id: string) => void {
  const { list, days, lines, selection, virtual, scroller, firstInView, onOpen, showNew, trashed, onPurge } = options;

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
    // At once, so that the next key finds it there. What is not drawn yet is so in the next frame; the focus is not called back by a frame that comes late.
    if (!focusTile(scroller.current, id)) {
      requestAnimationFrame(() => selection.active.peek() === id && focusTile(scroller.current, id));
    }
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

  /** The keys go on to the photo that takes its place. */
  const leave = (id: string) => {
    const ids = days.flatMap((day) => day.ids);
    const next = nearest(ids, id, (other) => other !== id);
    selection.activate(next);
    if (next !== null) reveal(next);
  };

  /** The photo that the keys stand on, or with it all that are chosen, to another place in the album. */
  const arrange = (where: Where) => {
    const id = selection.active.peek();
    if (id === null) return;
    const chosen = selection.chosen.peek();
    moveWithin(list, chosen.has(id) ? [...chosen] : [id], where);
    requestAnimationFrame(() => bringBack.current?.(id));
  };
  /** Before the photo above it, or behind the one below. */
  const arrangeByRow = (direction: "up" | "down") => {
    const id = selection.active.peek();
    const other = id === null ? null : neighbour(days, id, direction);
    if (id === null || other === null || other === id) return arrange(direction === "up" ? "first" : "last");
    const ids = list.ids.peek();
    const before = direction === "up" ? other : (ids[ids.indexOf(other) + 1] ?? null);
    if (before === null && list.more.peek()) return;
    movePhotos(list, [id], before);
    requestAnimationFrame(() => bringBack.current?.(id));
  };
  const bringBack = useRef<((id: string) => void) | null>(null);
  bringBack.current = (id) => reveal(id);

  // Where nothing can be moved, Alt and an arrow are the browser's own.
  const isArranged = list.ordered && selection.active.value !== null;
  const arranging: KeyMap = {
    "alt+ArrowLeft": () => arrange("earlier"),
    "alt+ArrowRight": () => arrange("later"),
    "alt+ArrowUp": () => arrangeByRow("up"),
    "alt+ArrowDown": () => arrangeByRow("down"),
    "alt+Home": () => arrange("first"),
    "alt+End": () => arrange("last"),
  };

  useKeys({
    ...(isArranged ? arranging : {}),
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
    ...(trashed
      ? {}
      : markKeys({
          favorite: withActive(toggleFavorite),
          rate: (rating) => withActive((id) => void rate(rating, [id]))(),
          flag: (pick) => withActive((id) => void flag(pick, [id]))(),
        })),
    e: withActive((id) => {
      const photo = getPhoto(id)?.peek();
      if (photo && !trashed) openAsSource(photo);
    }),
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
