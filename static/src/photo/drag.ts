// Dragging photos: onto an album, onto the studio, or to another place in an album.

import { signal } from "@preact/signals";
import { count } from "../lib/format";
import type { Target } from "../state/album-actions";
import type { PhotoList } from "../state/photo-list";

/** Photos on their way to an album, or to another place in theirs. */
interface Dragged extends Target {
  /** Null where they are a step's pictures. */
  list: PhotoList | null;
  /** They were dropped on an album. */
  onAdded: () => void;
  /** Where they were picked up: what appears stands at the other side. */
  fromLeft: boolean;
}

export const dragged = signal<Dragged | null>(null);

/** Fingers scroll, and choose by holding: only a mouse drags. */
export const canDrag = matchMedia("(hover: hover) and (pointer: fine)").matches;

const TYPE = "application/x-darkroom-photos";

/** Call it while the browser begins the drag. */
export function beginDrag(event: DragEvent, what: Omit<Dragged, "fromLeft">): void {
  const transfer = event.dataTransfer;
  if (!transfer) return;
  transfer.effectAllowed = "copyMove";
  transfer.setData(TYPE, String(what.ids.length));
  const sign = signOf(what.ids.length);
  document.body.append(sign);
  transfer.setDragImage(sign, -12, -12);
  // What changes the page at once would end the drag in some browsers.
  setTimeout(() => {
    sign.remove();
    dragged.value = { ...what, fromLeft: event.clientX < innerWidth / 2 };
  });
  const ending = new AbortController();
  const end = () => {
    ending.abort();
    dragged.value = null;
  };
  // A tile that was scrolled away tells no end; a pointer that moves does.
  for (const type of ["dragend", "pointerdown", "pointermove"]) {
    setTimeout(() => addEventListener(type, end, { signal: ending.signal }));
  }
}

function signOf(many: number): HTMLElement {
  const sign = document.createElement("div");
  sign.className = "drag-sign";
  sign.textContent = count(many, "photo");
  return sign;
}

/** Whether it is photos of ours that are dragged, and not files from elsewhere. */
export function isOurs(event: DragEvent): boolean {
  return event.dataTransfer?.types.includes(TYPE) ?? false;
}

/** What lets an element take dragged photos. */
export function dropTarget(onDrop: (what: Dragged) => void, onOver?: (over: boolean) => void) {
  return {
    onDragOver: (event: DragEvent) => {
      if (!isOurs(event)) return;
      event.preventDefault();
      event.stopPropagation();
      event.dataTransfer!.dropEffect = "copy";
      (event.currentTarget as HTMLElement).dataset.over = "";
      onOver?.(true);
    },
    onDragLeave: (event: DragEvent) => {
      const own = event.currentTarget as HTMLElement;
      if (event.relatedTarget instanceof Node && own.contains(event.relatedTarget)) return;
      delete own.dataset.over;
      onOver?.(false);
    },
    onDrop: (event: DragEvent) => {
      const what = dragged.peek();
      if (!isOurs(event) || what === null) return;
      event.preventDefault();
      event.stopPropagation();
      delete (event.currentTarget as HTMLElement).dataset.over;
      dragged.value = null;
      onDrop(what);
    },
  };
}
