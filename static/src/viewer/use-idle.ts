import { useEffect, useRef, useState } from "preact/hooks";

const IDLE_MS = 3_000;

/** True while the mouse rests and nothing inside is focused by keyboard; a tap switches it. */
export function useIdle(root: { current: HTMLElement | null }): { idle: boolean; toggle: () => void } {
  const [idle, setIdle] = useState(false);
  const timer = useRef<ReturnType<typeof setTimeout>>();
  useEffect(() => {
    const rest = () => {
      if (root.current?.querySelector(":focus-visible, .viewer-bar:hover, .filmstrip:hover")) return;
      setIdle(true);
    };
    const wake = (event: PointerEvent) => {
      if (event.pointerType === "touch") return;
      setIdle(false);
      clearTimeout(timer.current);
      timer.current = setTimeout(rest, IDLE_MS);
    };
    const wakeByKey = () => {
      setIdle(false);
      clearTimeout(timer.current);
    };
    window.addEventListener("pointermove", wake);
    window.addEventListener("keydown", wakeByKey);
    return () => {
      clearTimeout(timer.current);
      window.removeEventListener("pointermove", wake);
      window.removeEventListener("keydown", wakeByKey);
    };
  }, [root]);
  return { idle, toggle: () => setIdle((was) => !was) };
}
