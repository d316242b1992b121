import { computed, signal, type ReadonlySignal } from "@preact/signals";

/** Which photos of a list are chosen, and which one the keys stand on. */
export interface Selection {
  chosen: ReadonlySignal<ReadonlySet<string>>;
  active: ReadonlySignal<string | null>;
  choosing: ReadonlySignal<boolean>;
  toggle: (id: string) => void;
  /** Everything from the last chosen one to this. */
  extendTo: (id: string, ids: readonly string[]) => void;
  chooseAll: (ids: readonly string[]) => void;
  drop: (ids: readonly string[]) => void;
  clear: () => void;
  activate: (id: string | null) => void;
}

export function createSelection(): Selection {
  const chosen = signal<ReadonlySet<string>>(new Set());
  const active = signal<string | null>(null);
  let anchor: string | null = null;

  return {
    chosen,
    active,
    choosing: computed(() => chosen.value.size > 0),
    toggle: (id) => {
      const next = new Set(chosen.value);
      if (!next.delete(id)) next.add(id);
      chosen.value = next;
      active.value = id;
      anchor = id;
    },
    extendTo: (id, ids) => {
      const from = anchor === null ? -1 : ids.indexOf(anchor);
      const to = ids.indexOf(id);
      const range = from < 0 ? [id] : ids.slice(Math.min(from, to), Math.max(from, to) + 1);
      chosen.value = new Set([...chosen.value, ...range]);
      active.value = id;
    },
    chooseAll: (ids) => (chosen.value = new Set([...chosen.value, ...ids])),
    drop: (ids) => {
      const next = new Set(chosen.value);
      for (const id of ids) next.delete(id);
      chosen.value = next;
    },
    clear: () => {
      chosen.value = new Set();
      anchor = null;
    },
    activate: (id) => (active.value = id),
  };
}
