/** The family as a graph: photos and missing sources as nodes, and who stands beside whom. */
import type { LineageEdge } from "../api/types";
import { type Lineage, missingKey } from "../state/lineage";

/** One line of the drawing: from a source to what was made from it, however many roles it had. */
export interface Line {
  key: string;
  from: string;
  to: string;
  roles: readonly string[];
  /** Null of a source that is no photo here, and where nothing is told. */
  changes: LineageEdge["changes"];
}

export interface Graph {
  /** Photos in the order of their reading, then missing sources. */
  nodes: readonly string[];
  lines: readonly Line[];
  parents: ReadonlyMap<string, readonly Line[]>;
  children: ReadonlyMap<string, readonly Line[]>;
}

/** What `Map.groupBy` does, which Node 20 has not. */
function grouped<T>(all: readonly T[], keyOf: (one: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const one of all) {
    const key = keyOf(one);
    const group = groups.get(key);
    if (group) group.push(one);
    else groups.set(key, [one]);
  }
  return groups;
}

export function graphOf({ ids, edges, missing }: Pick<Lineage, "ids" | "edges" | "missing">): Graph {
  const lines = new Map<string, Line>();
  const add = (from: string, to: string, role: string, changes: LineageEdge["changes"]) => {
    const key = `${from}>${to}`;
    const known = lines.get(key);
    if (from === to || known?.roles.includes(role)) return;
    lines.set(key, { key, from, to, roles: [...(known?.roles ?? []), role], changes: known?.changes ?? changes });
  };
  for (const { from, to, role, changes } of edges) add(from, to, role, changes);
  for (const one of missing) add(missingKey(one), one.to, one.role, null);
  const all = [...lines.values()];
  return {
    nodes: [...ids, ...new Set(missing.map(missingKey))],
    lines: all,
    parents: grouped(all, ({ to }) => to),
    children: grouped(all, ({ from }) => from),
  };
}

/** So many pictures that were made from the same and that nothing was made from stand together in rows. */
const BLOCK = 5;

/** Groups of photos without descendants whose sources are the same, each in the order in which they were made. */
export function blocksOf({ nodes, parents, children }: Graph): string[][] {
  const leaves = nodes.filter((key) => parents.has(key) && !children.has(key));
  const sources = (key: string) =>
    parents
      .get(key)!
      .map(({ from }) => from)
      .sort()
      .join(" ");
  return [...grouped(leaves, sources).values()].filter((group) => group.length >= BLOCK).map((group) => group.sort());
}
