import type { Node } from "./tree-layout";

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
