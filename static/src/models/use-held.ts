import type { RefObject } from "preact";
import { useEffect, useReducer, useRef } from "preact/hooks";

function isUsed(element: HTMLElement | null): boolean {
  if (element === null) return false;
  // A finger that has left a picture is still said to hover.
  return element.matches(":focus-within") || (matchMedia("(hover: hover)").matches && element.matches(":hover"));
}

/** Pictures stay where they are while the pointer or the focus is on them; what came since is shown after that. */
export function useHeld(ids: readonly string[], element: RefObject<HTMLElement>): readonly string[] {
  const [, redraw] = useReducer((n: number) => n + 1, 0);
  const shown = useRef(ids);
  if (shown.current.length === 0 || !isUsed(element.current)) shown.current = ids;
  useEffect(() => {
    const box = element.current;
    if (box === null) return;
    const leave = () => requestAnimationFrame(() => redraw(undefined as never));
    const ending = new AbortController();
    for (const type of ["pointerleave", "focusout"]) box.addEventListener(type, leave, { signal: ending.signal });
    return () => ending.abort();
  }, []);
  return shown.current;
}
