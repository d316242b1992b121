import { useEffect, useState } from "preact/hooks";
import { dragged, isOurs } from "../photo/drag";
import { movePhotos } from "../state/album-actions";
import type { PhotoList } from "../state/photo-list";

/** Where dragged photos would stand: at this side of this photo. */
export interface DropMark {
  id: string;
  side: "left" | "right";
}

/** Reordering by drag within a grid; it has a mark to draw, and listeners for the grid. */
export function useArrange(list: PhotoList) {
  const [mark, setMark] = useState<DropMark | null>(null);
  const isUnder = dragged.value?.list === list && list.ordered;
  useEffect(() => {
    if (!isUnder) setMark(null);
  }, [isUnder]);

  const over = (event: DragEvent) => {
    if (!isUnder || !isOurs(event)) return;
    event.preventDefault();
    event.dataTransfer!.dropEffect = "move";
    const found = markAt(event);
    if (found && (found.id !== mark?.id || found.side !== mark.side)) setMark(found);
  };
  const drop = (event: DragEvent) => {
    const what = dragged.peek();
    if (!isUnder || !isOurs(event) || what === null) return;
    event.preventDefault();
    dragged.value = null;
    setMark(null);
    if (!mark) return;
    const ids = list.ids.peek();
    const moved = new Set(what.ids);
    const at = ids.indexOf(mark.id) + (mark.side === "right" ? 1 : 0);
    const before = ids.slice(at).find((id) => !moved.has(id)) ?? null;
    // What follows is not read yet.
    if (before === null && list.more.peek()) return;
    movePhotos(
      list,
      ids.filter((id) => moved.has(id)),
      before,
    );
  };
  return { mark: isUnder ? mark : null, handlers: list.ordered ? { onDragOver: over, onDrop: drop } : {} };
}

function markAt(event: DragEvent): DropMark | null {
  const tile = event.target instanceof Element ? event.target.closest<HTMLElement>("[data-photo]") : null;
  if (!tile) return null;
  const { left, width } = tile.getBoundingClientRect();
  return { id: tile.dataset.photo!, side: event.clientX < left + width / 2 ? "left" : "right" };
}
