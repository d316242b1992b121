// When newer photos are held back.

import { useEffect, useRef } from "preact/hooks";
import type { PhotoList } from "../state/photo-list";
import { AT_TOP } from "./reading-place";
import type { Selection } from "./selection";

/** Leaving and coming back within this time is not leaving. */
const AWAY_MS = 600;

/**
 * While somebody looks closely, newer photos wait behind the pill, and what the filter does not find any more stays: while
 * the pointer or a finger is on the grid, the focus is in it, photos are selected, or the reader has scrolled down.
 */
export function useHold(list: PhotoList, covered: boolean, scroller: { current: HTMLElement | null }, selection: Selection): void {
  const choosing = selection.choosing.value;
  /** It was moved there: what comes to lie under it by itself is not looked at. */
  const isOver = useRef(false);
  const wasCovered = useRef(covered);
  useEffect(() => {
    const element = scroller.current!;
    let fingers = 0;
    let leaving: ReturnType<typeof setTimeout> | undefined;

    const hasChanges = () => list.waiting.peek() > 0 || list.hasStale.peek();
    const isHeld = () =>
      covered ||
      choosing ||
      isOver.current ||
      fingers > 0 ||
      element.contains(document.activeElement) ||
      element.scrollTop > AT_TOP;
    const check = () => {
      if (isHeld()) {
        clearTimeout(leaving);
        leaving = undefined;
        list.holding.value = true;
      } else if (list.holding.peek()) leaving ??= setTimeout(letGo, AWAY_MS);
    };
    const letGo = () => {
      leaving = undefined;
      if (isHeld()) return;
      list.holding.value = false;
      if (hasChanges()) list.release();
    };
    const point = (event: PointerEvent) => {
      if (event.pointerType === "touch") return;
      isOver.current = event.type !== "pointerleave";
      check();
    };
    const touch = (event: TouchEvent) => {
      fingers = event.touches.length;
      check();
    };
    const listeners: [string, (event: never) => void][] = [
      ["scroll", check],
      ["pointermove", point],
      ["pointerleave", point],
      ["touchstart", touch],
      ["touchend", touch],
      ["touchcancel", touch],
      ["focusin", check],
      ["focusout", () => queueMicrotask(check)],
    ];
    for (const [type, listener] of listeners) element.addEventListener(type, listener as EventListener, { passive: true });
    // What came while it was covered is there when it is seen again.
    const isSeenAgain = wasCovered.current && !covered && element.scrollTop <= AT_TOP;
    wasCovered.current = covered;
    list.holding.value = isHeld();
    if ((isSeenAgain || !list.holding.peek()) && hasChanges()) list.release();
    return () => {
      clearTimeout(leaving);
      for (const [type, listener] of listeners) element.removeEventListener(type, listener as EventListener);
      list.holding.value = false;
    };
  }, [list, covered, choosing]);
}
