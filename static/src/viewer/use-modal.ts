import { useEffect } from "preact/hooks";

/** Messages stand above everything. */
const ABOVE = ".toasts";

/** Makes all that lies under an element inert, also what comes there later. Returns the function that ends that. */
function cover(element: HTMLElement): () => void {
  const covered = new Set<HTMLElement>();
  const coverAll = () => {
    for (let inner = element; inner !== document.body; inner = inner.parentElement!) {
      for (const beside of inner.parentElement!.children) {
        if (beside === inner || !(beside instanceof HTMLElement) || beside.inert || beside.matches(ABOVE)) continue;
        beside.inert = true;
        covered.add(beside);
      }
    }
  };
  const observer = new MutationObserver(coverAll);
  for (let outer = element.parentElement!; outer !== document.documentElement; outer = outer.parentElement!)
    observer.observe(outer, { childList: true });
  coverAll();
  return () => {
    observer.disconnect();
    for (const one of covered) one.inert = false;
  };
}

/** While it stands, an element has the page and the focus to itself; then the focus returns to where it was. */
export function useModal(root: { current: HTMLElement | null }): void {
  useEffect(() => {
    const before = document.activeElement;
    const uncover = cover(root.current!);
    root.current!.focus({ preventScroll: true });
    return () => {
      uncover();
      if (before instanceof HTMLElement) before.focus({ preventScroll: true });
    };
  }, []);
}
