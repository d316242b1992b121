// Where a session's steps stand in the tree, and where keys lead from one.

import type { StepState } from "../state/steps";

export interface Node {
  id: string;
  x: number;
  y: number;
  parent: Node | null;
  /** 1 for a root. */
  level: number;
}

export const NODE = 56;
const ROW = 76;
const INDENT = 32;
const LINE = 16;
const BEND = 8;

/** Depth first, oldest first. An only child stays under its parent; several are set in, so long chains stay narrow. */
export function layOutTree(steps: readonly StepState[]): Node[] {
  const ids = new Set(steps.map((step) => step.id));
  const children = Map.groupBy(steps, (step) => (step.parent_id && ids.has(step.parent_id) ? step.parent_id : null));
  const nodes: Node[] = [];
  const place = (step: StepState, parent: Node | null, x: number) => {
    const node: Node = { id: step.id, x, y: nodes.length * ROW, parent, level: (parent?.level ?? 0) + 1 };
    nodes.push(node);
    const own = inOrder(children.get(step.id) ?? []);
    for (const child of own) place(child, node, own.length > 1 ? x + INDENT : x);
  };
  for (const root of inOrder(children.get(null) ?? [])) place(root, null, 0);
  return nodes;
}

function inOrder(steps: readonly StepState[]): StepState[] {
  return [...steps].sort((a, b) => a.position - b.position || (a.id < b.id ? -1 : 1));
}

/** The line from a parent to its child: straight down, or down and round a corner. */
export function edgePath({ x, y, parent }: Node): string | null {
  if (!parent) return null;
  const from = parent.x + LINE;
  const top = parent.y + NODE;
  if (parent.x === x) return `M${from} ${top}V${y}`;
  const middle = y + NODE / 2;
  return `M${from} ${top}V${middle - BEND}Q${from} ${middle} ${from + BEND} ${middle}H${x}`;
}

/** Where a key leads from a node of a tree that is all unfolded; undefined for a key that leads nowhere. */
export function nodeByKey(nodes: readonly Node[], from: Node, key: string): Node | undefined {
  const at = nodes.indexOf(from);
  switch (key) {
    case "ArrowDown":
      return nodes[at + 1];
    case "ArrowUp":
      return nodes[at - 1];
    case "ArrowRight":
      return nodes.find((node) => node.parent === from);
    case "ArrowLeft":
      return from.parent ?? undefined;
    case "Home":
      return nodes[0];
    case "End":
      return nodes.at(-1);
  }
}
