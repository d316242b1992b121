import { useEffect, useId, useRef, useState } from "preact/hooks";
import { completions, LONGEST_TAG, parseTags, tagsInUse } from "../state/tags";

interface TagInputProps {
  /** They are not offered. */
  has: readonly string[];
  onAdd: (tags: string[]) => void;
  /** Backspace in the empty field. */
  onBack?: () => void;
}

const MOST_OFFERED = 6;

/** A field for tags: Enter or a comma adds what is typed, and so does leaving it. Tags of other photos complete it. */
export function TagInput({ has, onAdd, onBack }: TagInputProps) {
  const [text, setText] = useState("");
  const [error, setError] = useState<string | null>(null);
  const [known, setKnown] = useState<readonly string[]>([]);
  const [isOpen, open] = useState(false);
  /** Of the offered ones, where the arrow keys stand. */
  const [at, setAt] = useState(-1);
  const input = useRef<HTMLInputElement>(null);
  const list = useId();
  const flaw = useId();
  const offered = isOpen && text.trim() !== "" ? completions(text, known, has, MOST_OFFERED) : [];
  const chosen = offered[at];

  const type = (typed: string) => {
    setText(typed);
    setError(null);
    setAt(-1);
    open(true);
  };
  const add = (typed: string) => {
    const tags = parseTags(typed);
    if (tags.some((tag) => tag.length > LONGEST_TAG)) {
      setError(`A tag has at most ${LONGEST_TAG} characters.`);
      return;
    }
    type("");
    const fresh = tags.filter((tag) => !has.includes(tag));
    if (fresh.length > 0) onAdd(fresh);
  };
  // A field that is taken away, as with its photo, does not hear that it was left.
  const leave = useRef(() => {});
  leave.current = () => text.trim() !== "" && add(text);
  useEffect(() => () => leave.current(), []);
  const move = (by: number) => setAt(((at + 1 + by + offered.length + 1) % (offered.length + 1)) - 1);

  return (
    <div class="tag-input">
      <input
        ref={input}
        class="input"
        type="text"
        role="combobox"
        aria-label="Add a tag"
        aria-expanded={offered.length > 0}
        aria-controls={list}
        aria-autocomplete="list"
        aria-activedescendant={chosen === undefined ? undefined : `${list}-${at}`}
        aria-invalid={error !== null}
        aria-describedby={error === null ? undefined : flaw}
        placeholder="Add a tag"
        autocomplete="off"
        autocapitalize="none"
        enterkeyhint="done"
        value={text}
        onFocus={() => setKnown(tagsInUse())}
        onInput={(event) => {
          const typed = event.currentTarget.value;
          if (typed.includes(",") && !event.isComposing) add(typed);
          else type(typed);
        }}
        onCompositionEnd={(event) => event.currentTarget.value.includes(",") && add(event.currentTarget.value)}
        onBlur={() => {
          open(false);
          leave.current();
        }}
        onKeyDown={(event) => {
          if (event.isComposing) return;
          if (event.key === "Enter") add(chosen ?? text);
          else if (event.key === "ArrowDown" && offered.length > 0) move(1);
          else if (event.key === "ArrowUp" && offered.length > 0) move(-1);
          else if (event.key === "Escape" && offered.length > 0) open(false);
          else if (event.key === "Escape" && text !== "") type("");
          else if (event.key === "Escape" && onBack) event.currentTarget.blur();
          else if (event.key === "Backspace" && text === "" && !event.repeat && onBack) onBack();
          else return;
          event.preventDefault();
          event.stopPropagation();
        }}
      />
      <div id={list} class="offered" role="listbox" aria-label="Tags" hidden={offered.length === 0}>
        {offered.map((tag, index) => (
          <button
            key={tag}
            id={`${list}-${index}`}
            type="button"
            role="option"
            tabIndex={-1}
            aria-selected={index === at}
            // The field keeps the focus.
            onMouseDown={(event) => event.preventDefault()}
            onClick={() => {
              add(tag);
              input.current!.focus();
            }}
          >
            {tag}
          </button>
        ))}
      </div>
      {error !== null && (
        <p id={flaw} class="small bad flaw" role="alert">
          {error}
        </p>
      )}
    </div>
  );
}
