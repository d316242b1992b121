import type { LucideIcon } from "lucide-preact";
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Icon } from "./icon";

interface PopupProps {
  icon: LucideIcon;
  label: string;
  /** Beside the icon; without them the button is the icon alone. */
  words?: string;
  pressed?: boolean;
  disabled?: boolean;
  class?: string;
  /** `close` gives the focus back to the button. */
  children: (close: () => void) => ComponentChildren;
}

/** A button that opens a small panel beside it; Esc and a press elsewhere close it. */
export function Popup({ icon, label, words, pressed, disabled, class: extra = "", children }: PopupProps) {
  const [isOpen, open] = useState(false);
  const place = useRef<HTMLSpanElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  const close = () => {
    open(false);
    button.current?.focus();
  };
  useEffect(() => {
    if (!isOpen) return;
    const panel = place.current!.querySelector<HTMLElement>(".popup")!;
    (panel.querySelector<HTMLElement>("input, [tabindex='0'], button:not([tabindex])") ?? panel).focus({ preventScroll: true });
    const leave = (event: Event) => {
      if (event.target instanceof Node && !place.current!.contains(event.target)) open(false);
    };
    const leaveByKey = (event: KeyboardEvent) => {
      if (event.key !== "Escape" || event.defaultPrevented) return;
      event.preventDefault();
      close();
    };
    const listening = new AbortController();
    for (const type of ["pointerdown", "focusin"])
      document.addEventListener(type, leave, { capture: true, signal: listening.signal });
    place.current!.addEventListener("keydown", leaveByKey, { signal: listening.signal });
    return () => listening.abort();
  }, [isOpen]);
  return (
    <span class="popup-place" ref={place}>
      <button
        ref={button}
        type="button"
        class={`${words ? "button" : "icon-button"} ${extra}`}
        aria-label={label}
        title={label}
        aria-haspopup="dialog"
        aria-expanded={isOpen}
        aria-pressed={pressed}
        disabled={disabled}
        onClick={() => open(!isOpen)}
      >
        <Icon of={icon} />
        {words && <span>{words}</span>}
      </button>
      {isOpen && (
        <div class="popup" role="dialog" aria-label={label} tabIndex={-1}>
          {children(close)}
        </div>
      )}
    </span>
  );
}
