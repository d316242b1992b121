import { useLayoutEffect } from "preact/hooks";

/** What has the focus within `place` may go when `state` changes: the focus then goes to `next`. */
export function useKeptFocus(
  place: { current: HTMLElement | null },
  state: unknown,
  next: () => HTMLElement | null | undefined,
): void {
  const had = place.current?.contains(document.activeElement) ?? false;
  useLayoutEffect(() => {
    if (had && !place.current?.contains(document.activeElement)) next()?.focus({ preventScroll: true });
  }, [state]);
}
