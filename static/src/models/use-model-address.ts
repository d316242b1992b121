import { useLocation, useSearch } from "wouter-preact";
import { goBack, goOn } from "../lib/navigation";

/** What the page shows stands in its address: the model that is open, what is searched for, and the type. */
export function useModelAddress() {
  const [path, navigate] = useLocation();
  const search = new URLSearchParams(useSearch());

  const addressOf = (changes: Record<string, string | null>) => {
    const next = new URLSearchParams(search);
    for (const [name, value] of Object.entries(changes)) {
      if (value) next.set(name, value);
      else next.delete(name);
    }
    const text = next.toString();
    return text ? `${path}?${text}` : path;
  };

  return {
    model: search.get("model"),
    q: search.get("q") ?? "",
    type: search.get("type"),
    addressOf,
    /** Back closes it; another model takes its place. */
    open: (model: string, photo: string | null = null) => {
      const isOpen = search.has("model");
      if (!isOpen || photo !== null) goOn();
      const address = addressOf({ model, photo });
      if (isOpen && photo === null) navigate(address, { replace: true, state: history.state });
      else navigate(address, { state: { opened: true } });
    },
    close: () => {
      if ((history.state as { opened?: boolean } | null)?.opened) void goBack();
      else navigate(addressOf({ model: null }), { replace: true });
    },
    narrow: (changes: { q?: string | null; type?: string | null }) =>
      navigate(addressOf(changes), { replace: true, state: history.state }),
  };
}

export type ModelAddress = ReturnType<typeof useModelAddress>;
