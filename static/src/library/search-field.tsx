import { signal } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import { SearchBox } from "../components/search-box";

const PAUSE_MS = 250;
const STILL_TYPING_MS = 1_000;
const GRAMMAR = 'Words or their beginnings, "a phrase", -without, or, model:, seed:, negative:';

/** Whether a search is being typed just now: what its beginning finds may be nothing, and is not worth a word. */
export const typing = signal(false);

interface SearchFieldProps {
  q: string | null;
  /** `isNew` when it begins a search, and does not go on with the one that was typed before. */
  onSearch: (q: string | null, isNew: boolean) => void;
}

/** Searches as one types, after a short pause. */
export function SearchField({ q, onSearch }: SearchFieldProps) {
  const [text, setText] = useState(q ?? "");
  const search = useRef(onSearch);
  search.current = onSearch;
  const isNew = useRef(true);
  const composing = useRef(false);

  /** What was last searched for; that the address then says so changes nothing here. */
  const searched = useRef(q);

  const searchNow = (wanted: string | null) => {
    if (wanted === searched.current) return;
    searched.current = wanted;
    search.current(wanted, isNew.current);
    isNew.current = false;
  };
  const end = () => {
    typing.value = false;
    isNew.current = true;
  };

  useEffect(() => {
    if (q === searched.current) return;
    searched.current = q;
    isNew.current = true;
    setText(q ?? "");
  }, [q]);
  useEffect(() => {
    if (composing.current) return;
    const timer = setTimeout(() => searchNow(text.trim() || null), PAUSE_MS);
    const pause = setTimeout(() => (typing.value = false), STILL_TYPING_MS);
    return () => {
      clearTimeout(timer);
      clearTimeout(pause);
    };
  }, [text]);
  useEffect(() => end, []);

  return (
    <SearchBox
      aria-label="Search"
      placeholder="Search prompts, models, files"
      title={GRAMMAR}
      maxLength={500}
      value={text}
      onCompositionStart={() => (composing.current = true)}
      onCompositionEnd={(event) => {
        composing.current = false;
        setText(event.currentTarget.value);
      }}
      onInput={(event) => {
        typing.value = true;
        setText(event.currentTarget.value);
      }}
      onBlur={end}
      onKey={({ key }) => {
        if (key !== "Enter") return;
        searchNow(text.trim() || null);
        end();
      }}
      onClear={() => {
        setText("");
        searchNow(null);
      }}
    />
  );
}
