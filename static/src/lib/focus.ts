// Where the keyboard's focus goes.

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

/** Focuses the page that is open. It does not stay focusable: a click on its words would then begin Tab's way at the page's top. */
export function enterPage(page = document.querySelector<HTMLElement>("main.page")!): void {
  const ending = new AbortController();
  const leave = () => {
    ending.abort();
    page.removeAttribute("tabindex");
  };
  page.tabIndex = -1;
  page.focus({ preventScroll: true });
  for (const type of ["blur", "pointerdown"]) page.addEventListener(type, leave, { signal: ending.signal });
}
