// Which photos of a list are selected.

import { computed, effect, type ReadonlySignal, signal } from "@preact/signals";
import { dayKey } from "../lib/format";
import { toast } from "../lib/toasts";
import type { PhotoList } from "../state/photo-list";
import { getPhoto } from "../state/photos";

/** All that a list shows up to the newest photo, loaded or not, but some. */
export interface Everything {
  newest: string;
  /** Those taken out by hand. */
  except: ReadonlySet<string>;
  /** Those that came among the others since: they are not chosen. */
  late: ReadonlySet<string>;
  /** How many the list has lost since, less those that were added. */
  left: number;
}

/** Which photos of a list are chosen, and which one the keys stand on. */
export interface Selection {
  /** Those that are loaded. */
  chosen: ReadonlySignal<ReadonlySet<string>>;
  /** Null while they are chosen one by one. */
  everything: ReadonlySignal<Everything | null>;
  active: ReadonlySignal<string | null>;
  choosing: ReadonlySignal<boolean>;
  toggle: (id: string) => void;
  /** Everything from the last chosen one to this. */
  extendTo: (id: string, ids: readonly string[]) => void;
  choose: (ids: readonly string[]) => void;
  /** All that the list shows, also what is not loaded. */
  chooseAll: () => void;
  drop: (ids: readonly string[]) => void;
  clear: () => void;
  activate: (id: string | null) => void;
  /** Lets go of photos that leave the list, until the returned function is called. */
  follow: () => () => void;
}

interface Listed {
  ids: ReadonlySignal<readonly string[]>;
  more: ReadonlySignal<boolean>;
  /** Whether it stands in an order in which what is newer tells nothing: all of it is chosen one by one. */
  ordered?: boolean;
  loadMore?: () => Promise<void>;
}

/** More than a request may name are chosen as all of them. */
const MOST_NAMED = 10_000;

/** Of the photos that stay, the one after this, else the one before. */
export function nearest(ids: readonly string[], id: string, stays: (id: string) => boolean): string | null {
  const at = ids.indexOf(id);
  return ids.slice(at + 1).find(stays) ?? ids.slice(0, Math.max(0, at)).findLast(stays) ?? null;
}

function without(set: ReadonlySet<string>, ids: readonly string[]): ReadonlySet<string> {
  const less = new Set(set);
  for (const id of ids) less.delete(id);
  return less;
}

function contains({ newest, except, late }: Everything, id: string): boolean {
  return id <= newest && !except.has(id) && !late.has(id);
}

/** `ids` are also chosen; of what is newer than the others, those alone. */
function including(all: Everything, ids: readonly string[], listed: readonly string[]): Everything {
  const wanted = new Set(ids);
  const newest = [all.newest, ...ids].toSorted().at(-1)!;
  const between = listed.filter((id) => id > all.newest && id <= newest && !wanted.has(id));
  const added = ids.filter((id) => id > all.newest || all.late.has(id)).length;
  return {
    newest,
    except: without(all.except, ids),
    late: new Set([...without(all.late, ids), ...between]),
    left: all.left - added,
  };
}

/** What a list lost and what came into it, of all that was chosen in it. */
function followed(all: Everything, before: readonly string[], now: readonly string[]): Everything {
  const [was, is] = [new Set(before), new Set(now)];
  const gone = before.filter((id) => !is.has(id) && id <= all.newest);
  const oldest = before.at(-1);
  // What is older than any before was loaded, and what is newer is not of these.
  const came = now.filter((id) => !was.has(id) && id <= all.newest && oldest !== undefined && id > oldest);
  if (gone.length === 0 && came.length === 0) return all;
  return {
    newest: all.newest,
    except: without(all.except, gone),
    late: new Set([...without(all.late, gone), ...came]),
    left: all.left + gone.filter((id) => !all.late.has(id)).length,
  };
}

export function createSelection(list: Listed): Selection {
  const { ids, more, ordered = false } = list;
  const named = signal<ReadonlySet<string>>(new Set());
  const everything = signal<Everything | null>(null);
  const active = signal<string | null>(null);
  let anchor: string | null = null;
  const chosen = computed(() => {
    const all = everything.value;
    return all ? new Set(ids.value.filter((id) => contains(all, id))) : named.value;
  });

  const choose = (wanted: readonly string[]) => {
    const all = everything.value;
    if (all)
      everything.value = including(
        all,
        wanted.filter((id) => !contains(all, id)),
        ids.value,
      );
    else named.value = new Set([...named.value, ...wanted]);
  };
  const drop = (unwanted: readonly string[]) => {
    const all = everything.value;
    if (all) everything.value = { ...all, except: new Set([...all.except, ...unwanted.filter((id) => contains(all, id))]) };
    else named.value = without(named.value, unwanted);
    if (chosen.value.size === 0 && !more.value) clear();
  };
  const clear = () => {
    named.value = new Set();
    everything.value = null;
    anchor = null;
  };

  /** Reads on until all of it is there, as long as the choice stands. */
  const chooseWhole = async () => {
    everything.value = null;
    named.value = new Set(ids.peek());
    while (more.peek() && list.loadMore) {
      const many = ids.peek().length;
      await list.loadMore();
      if (named.peek().size === 0 || ids.peek().length === many) return;
      named.value = new Set([...named.peek(), ...ids.peek().slice(many)]);
    }
  };

  const keep = (before: readonly string[], now: readonly string[]) => {
    const present = new Set(now);
    const all = everything.peek();
    if (all && now.length === 0) everything.value = null;
    else if (all) everything.value = followed(all, before, now);
    const kept = [...named.peek()].filter((id) => present.has(id));
    if (kept.length < named.peek().size) named.value = new Set(kept);
    const on = active.peek();
    if (on !== null && !present.has(on) && before.includes(on)) active.value = nearest(before, on, (id) => present.has(id));
  };

  return {
    chosen,
    everything,
    active,
    choosing: computed(() => everything.value !== null || named.value.size > 0),
    toggle: (id) => {
      if (chosen.value.has(id)) drop([id]);
      else choose([id]);
      active.value = id;
      anchor = id;
    },
    extendTo: (id, listed) => {
      const from = anchor === null ? -1 : listed.indexOf(anchor);
      const to = listed.indexOf(id);
      choose(from < 0 ? [id] : listed.slice(Math.min(from, to), Math.max(from, to) + 1));
      active.value = id;
    },
    choose,
    chooseAll: () => {
      const listed = ids.value;
      if (listed.length === 0) return;
      if (ordered) return void chooseWhole();
      if (!more.value && listed.length <= MOST_NAMED) {
        everything.value = null;
        named.value = new Set(listed);
        return;
      }
      named.value = new Set();
      everything.value = { newest: listed[0]!, except: new Set(), late: new Set(), left: 0 };
    },
    drop,
    clear,
    activate: (id) => (active.value = id),
    follow: () => {
      let before = ids.peek();
      return effect(() => {
        const now = ids.value;
        keep(before, now);
        before = now;
      });
    },
  };
}

/** Chooses or drops the whole day, and reads on for what of it is not loaded yet. */
export async function chooseDay(list: PhotoList, selection: Selection, key: string, wanted: boolean): Promise<void> {
  const isOf = (id: string | undefined) => {
    const photo = id === undefined ? undefined : getPhoto(id)?.peek();
    return photo !== undefined && dayKey(photo.created_at) === key;
  };
  const take = () => (wanted ? selection.choose : selection.drop)(list.ids.peek().filter(isOf));
  take();
  while (list.more.peek() && isOf(list.ids.peek().at(-1))) {
    const before = list.ids.peek().length;
    await list.loadMore();
    if (list.error.peek() !== null || list.ids.peek().length === before)
      return void toast("The rest of this day could not be read.", { tone: "bad" });
    // Let go of meanwhile.
    if (!selection.choosing.peek()) return;
    take();
  }
}
