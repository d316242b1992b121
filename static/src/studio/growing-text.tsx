import { useLayoutEffect, useRef } from "preact/hooks";

interface GrowingTextProps {
  label: string;
  name: string;
  rows: number;
  value: string;
  onInput: (value: string) => void;
}

/** A text box as tall as its words. */
export function GrowingText({ label, name, rows, value, onInput }: GrowingTextProps) {
  const area = useRef<HTMLTextAreaElement>(null);
  const grow = () => {
    const box = area.current!;
    box.style.height = "auto";
    box.style.height = `${box.scrollHeight + 2}px`;
  };
  useLayoutEffect(grow, [value]);
  // Its width changes with the window, and from nothing when the sheet around it opens.
  useLayoutEffect(() => {
    let width = 0;
    const observer = new ResizeObserver(([entry]) => {
      if (entry!.contentRect.width === width) return;
      width = entry!.contentRect.width;
      grow();
    });
    observer.observe(area.current!);
    return () => observer.disconnect();
  }, []);
  return (
    <label class="field">
      <span class="label">{label}</span>
      <textarea
        ref={area}
        class="input"
        name={name}
        rows={rows}
        spellcheck
        value={value}
        onInput={(event) => onInput(event.currentTarget.value)}
      />
    </label>
  );
}
