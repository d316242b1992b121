// Where the arrow keys lead in a family.

import type { Graph } from "./graph";
import type { Layout, Placed } from "./layout";

type Turn = "back" | "on" | "before" | "after";

const TURNS: Record<Layout["direction"], Record<string, Turn>> = {
  across: { ArrowLeft: "back", ArrowRight: "on", ArrowUp: "before", ArrowDown: "after" },
  down: { ArrowUp: "back", ArrowDown: "on", ArrowLeft: "before", ArrowRight: "after" },
};

/** Where an arrow leads: along a line to a source or to what was made from it, or to the next picture of the same layer. */
export function neighbourOf(graph: Graph, layout: Layout, key: string, arrow: string): string | undefined {
  const here = layout.placed.get(key);
  const turn = TURNS[layout.direction][arrow];
  if (!here || turn === undefined) return undefined;
  const middle = ({ x, y, width, height }: Placed) => (layout.direction === "across" ? y + height / 2 : x + width / 2);
  const away = (one: Placed) => middle(one) - middle(here);
  const nearest = (candidates: readonly Placed[]) => candidates.toSorted((a, b) => Math.abs(away(a)) - Math.abs(away(b)))[0]?.key;
  const placed = (keys: readonly string[]) => keys.map((one) => layout.placed.get(one)).filter((one) => one !== undefined);
  const layer = [...layout.placed.values()].filter((one) => one.layer === here.layer);
  const inBlock = (part: number) => layer.filter((one) => here.block !== null && one.block === here.block && one.part === part);
  const beside = layer.filter((one) => one.part === here.part);
  switch (turn) {
    case "back":
      return nearest(inBlock(here.part - 1)) ?? nearest(placed((graph.parents.get(key) ?? []).map(({ from }) => from)));
    case "on":
      return nearest(placed((graph.children.get(key) ?? []).map(({ to }) => to))) ?? nearest(inBlock(here.part + 1));
    case "before":
      return nearest(beside.filter((one) => away(one) < 0));
    case "after":
      return nearest(beside.filter((one) => away(one) > 0));
  }
}
