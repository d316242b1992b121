import { useLayoutEffect, useRef } from "preact/hooks";

interface GrowingTextProps {
  label: string;
  name: string;
  rows: number;
  value: string;
  /** The id of what says why the text cannot be taken. */
  flaw?: string | undefined;
  onInput: (value: string) => void;
}

/** A text box as tall as its words. Text that was not typed comes in a new box: undoing in the old one would mix the two. */
export function GrowingText({ label, name, rows, value, flaw, onInput }: GrowingTextProps) {
  const area = useRef<HTMLTextAreaElement>(null);
  const typed = useRef(value);
  const box = useRef(0);
  const focused = useRef(false);
  if (value !== typed.current) {
    typed.current = value;
    focused.current = document.activeElement === area.current && area.current !== null;
    box.current += 1;
  }
  const grow = () => {
    const box = area.current!;
    box.style.height = "auto";
    box.style.height = `${box.scrollHeight + 2}px`;
  };
  useLayoutEffect(grow, [value]);
  useLayoutEffect(() => {
    if (focused.current) area.current!.focus();
    focused.current = false;
    // Its width changes with the window, and from nothing when the sheet around it opens.
    let width = 0;
    const observer = new ResizeObserver(([entry]) => {
      if (entry!.contentRect.width === width) return;
      width = entry!.contentRect.width;
      grow();
    });
    observer.observe(area.current!);
    return () => observer.disconnect();
  }, [box.current]);
  return (
    <label class="field">
      <span class="label">{label}</span>
      <textarea
        key={box.current}
        ref={area}
        class="input"
        name={name}
        rows={rows}
        spellcheck
        value={value}
        aria-invalid={flaw !== undefined}
        aria-describedby={flaw}
        onInput={(event) => {
          typed.current = event.currentTarget.value;
          onInput(event.currentTarget.value);
        }}
      />
    </label>
  );
}
