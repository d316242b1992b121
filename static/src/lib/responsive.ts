// What the window has room for, its pixel ratio, and whether motion is wanted.

import { type ReadonlySignal, signal } from "@preact/signals";

function media(query: string): ReadonlySignal<boolean> {
  const list = matchMedia(query);
  const value = signal(list.matches);
  list.addEventListener("change", (event) => (value.value = event.matches));
  return value;
}

export const isPhone = media("(max-width: 599px)");
/** Room for an inspector beside the content. */
export const isWide = media("(min-width: 1000px)");
/** Room for every filter in the bar. */
export const isRoomy = media("(min-width: 1200px)");
/** Device pixels for each CSS pixel: another screen has another, and so has another zoom of the page. */
export const pixelRatio = signal(devicePixelRatio);

function watchPixelRatio(): void {
  matchMedia(`(resolution: ${devicePixelRatio}dppx)`).addEventListener(
    "change",
    () => {
      pixelRatio.value = devicePixelRatio;
      watchPixelRatio();
    },
    { once: true },
  );
}
watchPixelRatio();

export const isStill = media("(prefers-reduced-motion: reduce)");
