// The only place that knows @tanstack/virtual-core, and its private lifecycle methods.

import {
  elementScroll,
  observeElementOffset,
  observeElementRect,
  Virtualizer,
  type VirtualizerOptions,
} from "@tanstack/virtual-core";
import { useLayoutEffect, useReducer, useState } from "preact/hooks";

export { defaultRangeExtractor, type Range } from "@tanstack/virtual-core";

type Options = Pick<VirtualizerOptions<HTMLElement, Element>, "count" | "getScrollElement" | "estimateSize"> &
  Partial<
    Pick<
      VirtualizerOptions<HTMLElement, Element>,
      "overscan" | "horizontal" | "scrollPaddingStart" | "scrollPaddingEnd" | "paddingEnd" | "rangeExtractor"
    >
  >;

/** @tanstack/virtual-core for Preact. Sizes are exact, so nothing is measured; `sizes` changing lays out anew. */
export function useVirtual(options: Options, sizes: unknown): Virtualizer<HTMLElement, Element> {
  const [, redraw] = useReducer((n: number) => n + 1, 0);
  const [virtualizer] = useState(
    () =>
      new Virtualizer<HTMLElement, Element>({
        ...options,
        observeElementRect,
        observeElementOffset,
        scrollToFn: elementScroll,
      }),
  );
  virtualizer.setOptions({
    observeElementRect,
    observeElementOffset,
    scrollToFn: elementScroll,
    ...options,
    onChange: () => redraw(undefined as never),
  });
  useLayoutEffect(() => virtualizer._didMount(), [virtualizer]);
  useLayoutEffect(() => virtualizer._willUpdate());
  useLayoutEffect(() => virtualizer.measure(), [virtualizer, sizes]);
  return virtualizer;
}
