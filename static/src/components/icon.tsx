import type { LucideIcon } from "lucide-preact";

/** Decoration beside a word, or inside a control that has a name: never read aloud. */
export function Icon({ of: Glyph }: { of: LucideIcon }) {
  return <Glyph class="icon" size={18} strokeWidth={1.75} aria-hidden="true" />;
}

interface IconButtonProps {
  icon: LucideIcon;
  label: string;
  onClick: (event: MouseEvent) => void;
  keys?: string;
  pressed?: boolean;
  disabled?: boolean;
  /** Its `tabindex`, where only one of many is a stop. */
  stop?: number;
  class?: string;
}

export function IconButton({ icon, label, onClick, keys, pressed, disabled, stop, class: extra = "" }: IconButtonProps) {
  return (
    <button
      type="button"
      class={`icon-button ${extra}`}
      aria-label={label}
      title={keys ? `${label} (${keys})` : label}
      aria-pressed={pressed}
      disabled={disabled}
      tabIndex={stop}
      onClick={onClick}
    >
      <Icon of={icon} />
    </button>
  );
}
