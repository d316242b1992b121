import type { RefObject } from "preact";
import { useEffect, useState } from "preact/hooks";

/** A row that comes into view soon is ready then. */
const AHEAD = "200px";

const told = new WeakMap<Element, (isSeen: boolean) => void>();
let observer: IntersectionObserver | undefined;

function observe(element: Element, tell: (isSeen: boolean) => void): () => void {
  observer ??= new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) told.get(target)?.(isIntersecting);
    },
    { rootMargin: AHEAD },
  );
  told.set(element, tell);
  observer.observe(element);
  return () => {
    observer!.unobserve(element);
    told.delete(element);
  };
}

/** Whether an element is in view, or nearly. */
export function useSeen(element: RefObject<HTMLElement>): boolean {
  const [isSeen, setSeen] = useState(false);
  useEffect(() => observe(element.current!, setSeen), []);
  return isSeen;
}
