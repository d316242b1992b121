import { computed, effect, type ReadonlySignal, signal } from "@preact/signals";

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
  /** Lets go of photos that leave the list, until the returned function is called. */
  follow: (ids: ReadonlySignal<readonly string[]>) => () => void;
}

/** Of the photos that stay, the one after this, else the one before. */
export function nearest(ids: readonly string[], id: string, stays: (id: string) => boolean): string | null {
  const at = ids.indexOf(id);
  return ids.slice(at + 1).find(stays) ?? ids.slice(0, Math.max(0, at)).findLast(stays) ?? null;
}

export function createSelection(): Selection {
  const chosen = signal<ReadonlySet<string>>(new Set());
  const active = signal<string | null>(null);
  let anchor: string | null = null;

  const keep = (before: readonly string[], present: ReadonlySet<string>) => {
    const kept = [...chosen.peek()].filter((id) => present.has(id));
    if (kept.length < chosen.peek().size) chosen.value = new Set(kept);
    const on = active.peek();
    if (on !== null && !present.has(on) && before.includes(on)) active.value = nearest(before, on, (id) => present.has(id));
  };

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
    follow: (ids) => {
      let before = ids.peek();
      return effect(() => {
        const now = ids.value;
        keep(before, new Set(now));
        before = now;
      });
    },
  };
}
