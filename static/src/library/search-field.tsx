import { useEffect, useRef, useState } from "preact/hooks";
import { useKeys } from "../app/keys";
import { isPhone } from "../app/responsive";
import { Icon } from "../shell/icon";
import { Search } from "../shell/icons";

const PAUSE_MS = 250;

/** Searches as one types, after a short pause. */
export function SearchField({ q, onSearch }: { q: string | null; onSearch: (q: string | null) => void }) {
  const [text, setText] = useState(q ?? "");
  const box = useRef<HTMLInputElement>(null);
  const search = useRef(onSearch);
  search.current = onSearch;

  /** What was last searched for; that the address then says so changes nothing here. */
  const searched = useRef(q);

  useEffect(() => {
    if (q === searched.current) return;
    searched.current = q;
    setText(q ?? "");
  }, [q]);
  useEffect(() => {
    const wanted = text.trim() || null;
    if (wanted === searched.current) return;
    const timer = setTimeout(() => {
      searched.current = wanted;
      search.current(wanted);
    }, PAUSE_MS);
    return () => clearTimeout(timer);
  }, [text]);
  useKeys({ "/": () => box.current?.focus() });

  return (
    <label class="search">
      <Icon of={Search} />
      <input
        ref={box}
        class="input"
        type="search"
        aria-label="Search"
        placeholder={isPhone.value ? "Search" : "Search prompts, models, files"}
        value={text}
        onInput={(event) => setText(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key === "Escape") box.current?.blur();
        }}
      />
    </label>
  );
}
