import { useEffect } from "preact/hooks";

/** Names the browser's tab after what the page shows. */
export function useTitle(name: string | undefined): void {
  useEffect(() => {
    document.title = name ? `${name} · Darkroom` : "Darkroom";
  }, [name]);
}
