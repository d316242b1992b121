import { expect, test } from "vitest";
import { blocksOf, graphOf } from "./graph";

const edge = (from: string, to: string, role: "init image" | "control" = "init image") => ({
  from,
  to,
  role,
  step_id: null,
  changes: null,
});

test("two roles of one source are one line, and a source that is missing from several photos is one node", () => {
  const graph = graphOf({
    ids: ["b", "a"],
    edges: [edge("a", "b"), edge("a", "b", "control")],
    missing: [
      { to: "a", image_name: "gone.png", role: "image" },
      { to: "b", image_name: "gone.png", role: "mask" },
    ],
  });
  expect(graph.nodes).toEqual(["b", "a", "missing:gone.png"]);
  expect(graph.lines.map(({ from, to, roles }) => [from, to, roles])).toEqual([
    ["a", "b", ["init image", "control"]],
    ["missing:gone.png", "a", ["image"]],
    ["missing:gone.png", "b", ["mask"]],
  ]);
});

test("missing sources whose names are not known are not taken for one", () => {
  const missing = ["a", "b"].map((to) => ({ to, image_name: null, role: "init image" as const }));
  expect(graphOf({ ids: ["a", "b"], edges: [], missing }).nodes).toEqual(["a", "b", "missing:a", "missing:b"]);
});

test("five or more without descendants that have the same sources stand together; one with a child does not", () => {
  const made = ["1", "2", "3", "4", "5", "6"];
  const edges = [...made.map((one) => edge("0", one)), edge("6", "7")];
  const graph = graphOf({ ids: ["0", ...made.toReversed(), "7"], edges, missing: [] });
  expect(blocksOf(graph)).toEqual([["1", "2", "3", "4", "5"]]);
  const other = graphOf({ ids: graph.nodes, edges: [...edges, edge("7", "5")], missing: [] });
  expect(blocksOf(other)).toEqual([]);
});
