import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { inspectorOpen } from "../app/preferences";
import { isPhone } from "../app/responsive";
import { IconButton } from "../shell/icon";
import { X } from "../shell/icons";

/** Pulled down so far, the sheet closes. */
const CLOSING_PX = 80;

/** What holds the facts: a column where there is room, else it slides over; on a phone a sheet that is pulled down to close it. */
export function InspectorFrame({ children }: { children: ComponentChildren }) {
  const frame = useRef<HTMLElement>(null);
  useEffect(() => (isPhone.value ? closeByPulling(frame.current!) : undefined), [isPhone.value]);
  return (
    <aside class="inspector scroll" aria-label="Info" ref={frame}>
      <span class="sheet-grip" aria-hidden="true" />
      <IconButton class="inspector-close" icon={X} label="Close" keys="i" onClick={close} />
      {children}
    </aside>
  );
}

function close(): void {
  inspectorOpen.value = false;
}

/** A finger that goes down while nothing is scrolled takes the sheet along. Returns what ends that. */
function closeByPulling(sheet: HTMLElement): () => void {
  const listening = new AbortController();
  let from: number | null = null;
  let pulled = 0;
  const begin = ({ touches }: TouchEvent) => {
    from = touches.length === 1 && sheet.scrollTop <= 0 ? touches[0]!.clientY : null;
    pulled = 0;
  };
  const pull = (event: TouchEvent) => {
    if (from === null) return;
    pulled = event.touches[0]!.clientY - from;
    // Upwards it scrolls, until the next touch.
    if (pulled <= 0 && sheet.style.translate === "") from = null;
    if (from === null || !event.cancelable) return;
    event.preventDefault();
    sheet.style.translate = `0 ${Math.max(0, pulled)}px`;
  };
  const end = () => {
    sheet.style.translate = "";
    if (from !== null && pulled > CLOSING_PX) close();
    from = null;
  };
  sheet.addEventListener("touchstart", begin, { passive: true, signal: listening.signal });
  sheet.addEventListener("touchmove", pull, { passive: false, signal: listening.signal });
  for (const name of ["touchend", "touchcancel"] as const) sheet.addEventListener(name, end, { signal: listening.signal });
  return () => listening.abort();
}
