// Zooming: what is kept from picture to picture, and how it moves.

import { signal } from "@preact/signals";
import type PhotoSwipe from "photoswipe";
import { panFor, type View, viewOf } from "./zoom";

type Slide = NonNullable<PhotoSwipe["currSlide"]>;

/** As the chrome comes and goes (viewer.css). */
export const FIT_MS = 200;

/** A picture is shown as close, and at the same place, as the one before it was left. */
export function keepView(stage: PhotoSwipe, middle: () => { x: number; y: number }) {
  const zoom = signal<number | null>(null);
  let view: View | null = null;
  /** The slide whose view is the kept one; any other is still to be given it. */
  let following: Slide | undefined;
  const size = (slide: Slide) => ({ x: slide.width, y: slide.height });
  const note = () => {
    const slide = stage.currSlide;
    if (!slide || slide !== following || !slide.isActive) return;
    const isFitting = slide.currZoomLevel === slide.zoomLevels.initial;
    view = isFitting ? null : viewOf(size(slide), slide.currZoomLevel, slide.pan, middle());
    zoom.value = slide.currZoomLevel;
  };
  const restore = () => {
    const slide = stage.currSlide;
    if (!slide || slide === following) return;
    const canZoom = slide.isZoomable();
    if (canZoom && view) {
      slide.zoomTo(view.level, undefined, 0, true);
      const { x, y } = panFor(size(slide), view, middle());
      slide.panTo(x, y);
    }
    following = canZoom ? slide : undefined;
    zoom.value = canZoom ? slide.currZoomLevel : null;
  };
  stage.on("change", restore);
  stage.on("zoomPanUpdate", note);
  // Its end is known when it begins; a zoom that begins before then goes on from that end.
  stage.on("beforeZoomTo", () => queueMicrotask(note));
  return { zoom, restore };
}

/** Where the mouse is over the stage, if it is. */
export function followPointer(element: HTMLElement): () => { x: number; y: number } | null {
  let at: { x: number; y: number } | null = null;
  element.addEventListener("pointermove", ({ pointerType, clientX, clientY }) => {
    const { left, top } = element.getBoundingClientRect();
    at = pointerType === "mouse" ? { x: clientX - left, y: clientY - top } : null;
  });
  element.addEventListener("pointerleave", () => (at = null));
  return () => at;
}

/** Fits the picture anew and lets it grow or shrink there from where it was. */
export function moveSmoothly(stage: PhotoSwipe): void {
  const { container } = stage.currSlide ?? {};
  const before = container?.firstElementChild?.getBoundingClientRect();
  stage.updateSize(true);
  const after = container?.firstElementChild?.getBoundingClientRect();
  if (!container || !before?.width || !after?.width) return;
  const to = new DOMMatrix(getComputedStyle(container).transform);
  const from = new DOMMatrix()
    .translate(before.left - after.left + to.e, before.top - after.top + to.f)
    .scale((to.a * before.width) / after.width);
  const move = container.animate([{ transform: `${from}` }, { transform: `${to}` }], { duration: FIT_MS, easing: "ease-out" });
  const stop = () => move.cancel();
  for (const name of ["pointerDown", "beforeZoomTo", "change"] as const) stage.on(name, stop);
  void move.finished
    .catch(() => undefined)
    .then(() => {
      for (const name of ["pointerDown", "beforeZoomTo", "change"] as const) stage.off(name, stop);
    });
}
