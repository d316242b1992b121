import type { InputHTMLAttributes } from "preact";
import { useRef } from "preact/hooks";
import { useKeys } from "../lib/keys";
import { isPhone } from "../lib/responsive";
import { Icon } from "./icon";
import { Search } from "./icons";

interface SearchBoxProps extends Omit<InputHTMLAttributes<HTMLInputElement>, "type" | "class" | "onKeyDown"> {
  placeholder: string;
  /** Escape was pressed. */
  onClear: () => void;
  /** Any other key was pressed, and does not belong to a word that is still being composed. */
  onKey: (event: KeyboardEvent) => void;
}

/** A field to search with: `/` leads to it, Escape clears and leaves it. */
export function SearchBox({ placeholder, onClear, onKey, ...input }: SearchBoxProps) {
  const box = useRef<HTMLInputElement>(null);
  useKeys({ "/": () => box.current?.focus() });
  return (
    <label class="search">
      <Icon of={Search} />
      <input
        {...input}
        ref={box}
        class="input"
        type="search"
        placeholder={isPhone.value ? "Search" : placeholder}
        onKeyDown={(event) => {
          if (event.isComposing) return;
          if (event.key !== "Escape") return onKey(event);
          onClear();
          box.current?.blur();
        }}
      />
    </label>
  );
}
