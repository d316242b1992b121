// Closing a sheet by pulling it down.

/** Pulled down so far, a sheet closes. */
const CLOSING_PX = 80;

/** A finger that goes down while nothing is scrolled takes the sheet along, and in the end closes it. Returns what ends that. */
export function closeByPulling(sheet: HTMLElement, close: () => void, scroller = sheet): () => void {
  const listening = new AbortController();
  let from: number | null = null;
  let pulled = 0;
  const begin = ({ touches }: TouchEvent) => {
    from = touches.length === 1 && scroller.scrollTop <= 0 ? touches[0]!.clientY : null;
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
