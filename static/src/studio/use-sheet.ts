import { useEffect } from "preact/hooks";
import { navigate, useHistoryState } from "wouter-preact/use-browser-location";
import { goBack, goOn } from "../lib/navigation";

type Panel = "tree" | "compose";

interface Opened {
  panel?: Panel;
}

/** Which panel lies over the session, where there is no room beside it. It has a place in the history: Back closes it, and so does Escape. */
export function useSheet(): { panel: Panel | null; show: (panel: Panel) => void; hide: () => Promise<void> } {
  const panel = useHistoryState<Opened | null>()?.panel ?? null;

  const show = (next: Panel) => {
    goOn();
    navigate(location.href, { replace: panel !== null, state: { panel: next } satisfies Opened });
  };

  const hide = async () => {
    if ((history.state as Opened | null)?.panel !== undefined) await goBack();
  };

  useEffect(() => {
    if (panel === null) return;
    // Also while one types.
    const leave = (event: KeyboardEvent) => {
      if (event.key === "Escape" && !event.defaultPrevented && !document.querySelector("dialog[open]")) void hide();
    };
    window.addEventListener("keydown", leave);
    return () => window.removeEventListener("keydown", leave);
  }, [panel]);

  return { panel, show, hide };
}
