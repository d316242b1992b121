import { useEffect, useRef } from "preact/hooks";
import { number } from "../app/format";

/** A number that grows or shrinks: only the digits that change are drawn anew, each in its place. */
export function Digits({ value }: { value: number }) {
  const text = number(value);
  const before = useRef(text);
  useEffect(() => {
    before.current = text;
  }, [text]);
  return (
    <>
      {[...text].map((sign, index) => {
        const place = text.length - index;
        return (
          <span key={`${place} ${sign}`} class={before.current.at(-place) === sign ? undefined : "new-digit"}>
            {sign}
          </span>
        );
      })}
    </>
  );
}
