// Pan and zoom over the drawing of a family.

import { type ReadonlySignal, useSignal } from "@preact/signals";
import type { RefObject } from "preact";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { isPhone } from "../lib/responsive";
import type { Layout, Placed } from "./layout";
import { firstView, fitView, kept, revealed, type View, zoomed } from "./view";

/** Moved so far, a press is a drag and no click. */
const DRAG_PX = 5;
const WHEEL = 0.0018;
const BUTTON = 1.4;
/** Height of the buttons on a phone (family.css). */
const BUTTONS = 64;

/** Below this scale labels cannot be read. */
const FAR = 0.5;

interface ViewControl {
  isFar: ReadonlySignal<boolean>;
  zoom: (by: number) => void;
  fit: () => void;
  reveal: (part: Placed) => void;
}

/** Pan and zoom over the drawing: by mouse, wheel, one finger or two. `about` is what stays where it is when the family changes. */
export function useView(
  window: RefObject<HTMLElement>,
  drawing: RefObject<HTMLElement>,
  layout: Layout,
  about: string,
): ViewControl {
  const view = useRef<View>({ x: 0, y: 0, scale: 1 });
  const isFar = useSignal(false);
  const latest = useRef({ layout, about });
  const before = useRef<Layout | null>(null);
  /** What is free for the drawing: on a phone the buttons stand below it. */
  const room = () => ({ width: size().width, height: size().height - (isPhone.peek() ? BUTTONS : 0) });
  const size = () => ({ width: window.current!.clientWidth, height: window.current!.clientHeight });
  const put = (next: View, smoothly = false) => {
    const { x, y, scale } = kept(next, latest.current.layout, size());
    const { style, classList } = drawing.current!;
    // At once, and not with the next drawing: a picture that is focused then would move there from where nothing stood.
    classList.toggle("moving", smoothly);
    style.transform = `translate(${x}px, ${y}px) scale(${scale})`;
    style.setProperty("--one", `${1 / scale}px`);
    view.current = { x, y, scale };
    isFar.value = scale < FAR;
  };

  // Before it is drawn: a family that has grown leaves where it was what one looks at.
  useLayoutEffect(() => {
    const old = before.current;
    latest.current = { layout, about };
    before.current = layout;
    const now = layout.placed.get(about);
    const was = old?.placed.get(about);
    if (old === null || old.direction !== layout.direction || !now || !was) {
      put(firstView(layout, room(), now));
      return;
    }
    const { x, y, scale } = view.current;
    put({ scale, x: x + (was.x - now.x) * scale, y: y + (was.y - now.y) * scale });
  }, [layout]);
  latest.current.about = about;

  useLayoutEffect(() => {
    let { width, height } = size();
    const observer = new ResizeObserver(() => {
      const now = size();
      const { x, y, scale } = view.current;
      if (now.width !== width || now.height !== height)
        put({ scale, x: x + (now.width - width) / 2, y: y + (now.height - height) / 2 });
      ({ width, height } = now);
    });
    observer.observe(window.current!);
    return () => observer.disconnect();
  }, []);

  useEffect(() => listen(window.current!, view, put), []);

  const middle = () => ({ x: size().width / 2, y: size().height / 2 });
  return {
    isFar,
    zoom: (by) => put(zoomed(view.current, by > 0 ? BUTTON : 1 / BUTTON, middle()), true),
    fit: () => put(fitView(latest.current.layout, room()), true),
    reveal: (part) => {
      const { x, y } = view.current;
      const next = revealed(view.current, part, room());
      if (next.x !== x || next.y !== y) put(next, true);
    },
  };
}

/** Returns what ends it. */
function listen(element: HTMLElement, view: { current: View }, put: (next: View) => void): () => void {
  const ending = new AbortController();
  const { signal } = ending;
  const fingers = new Map<number, { x: number; y: number }>();
  let moved = 0;
  const place = ({ clientX, clientY }: MouseEvent) => {
    const { left, top } = element.getBoundingClientRect();
    return { x: clientX - left, y: clientY - top };
  };

  element.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const { x, y, scale } = view.current;
      const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
      const across = event.shiftKey ? event.deltaY : event.deltaX;
      if (Math.abs(across) > Math.abs(event.shiftKey ? 0 : event.deltaY)) return put({ scale, x: x - across * lines, y });
      // A pinch on a touchpad comes as a wheel with Ctrl, in small steps.
      put(zoomed(view.current, Math.exp(-event.deltaY * lines * WHEEL * (event.ctrlKey ? 5 : 1)), place(event)));
    },
    { passive: false, signal },
  );
  element.addEventListener(
    "pointerdown",
    (event) => {
      if (event.button !== 0) return;
      if (fingers.size === 0) moved = 0;
      fingers.set(event.pointerId, place(event));
    },
    { signal },
  );
  element.addEventListener(
    "pointermove",
    (event) => {
      const was = fingers.get(event.pointerId);
      if (!was) return;
      const now = place(event);
      const other = [...fingers].find(([id]) => id !== event.pointerId)?.[1];
      moved += Math.hypot(now.x - was.x, now.y - was.y);
      if (moved > DRAG_PX && !element.hasPointerCapture(event.pointerId)) element.setPointerCapture(event.pointerId);
      fingers.set(event.pointerId, now);
      const { x, y, scale } = view.current;
      const dragged = { scale, x: x + now.x - was.x, y: y + now.y - was.y };
      if (!other) {
        if (moved > DRAG_PX) put(dragged);
        return;
      }
      const by = Math.hypot(now.x - other.x, now.y - other.y) / Math.max(1, Math.hypot(was.x - other.x, was.y - other.y));
      put(
        zoomed({ scale, x: x + (now.x - was.x) / 2, y: y + (now.y - was.y) / 2 }, by, {
          x: (now.x + other.x) / 2,
          y: (now.y + other.y) / 2,
        }),
      );
    },
    { signal },
  );
  const lift = (event: PointerEvent) => fingers.delete(event.pointerId);
  for (const name of ["pointerup", "pointercancel"] as const) addEventListener(name, lift, { signal });
  // What was dragged was not pressed.
  element.addEventListener(
    "click",
    (event) => {
      if (moved <= DRAG_PX || event.detail === 0) return;
      event.preventDefault();
      event.stopPropagation();
      moved = 0;
    },
    { capture: true, signal },
  );
  return () => ending.abort();
}
