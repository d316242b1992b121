import { expect, test } from "vitest";
import { graphOf } from "./graph";
import { type Direction, type Layout, layOutFamily, type Placed } from "./layout";
import { neighbourOf } from "./neighbours";

const edge = (from: string, to: string) => ({ from, to, role: "init image" as const, step_id: null, changes: null });

function family(edges: readonly (readonly [string, string])[]) {
  const ids = [...new Set(edges.flat())];
  return graphOf({ ids, edges: edges.map(([from, to]) => edge(from, to)), missing: [] });
}

/** root → a, b; a → c, d; b → f; d and f → e */
const SMALL = family([
  ["root", "a"],
  ["root", "b"],
  ["a", "c"],
  ["a", "d"],
  ["d", "e"],
  ["b", "f"],
  ["f", "e"],
]);
const square = () => 1;
const NINE = family([..."123456789"].map((one) => ["root", one] as const));

function overlaps(a: Placed, b: Placed): boolean {
  return a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
}

function crowded({ placed }: Layout): [string, string][] {
  const all = [...placed.values()];
  return all.flatMap((one, at) =>
    all.slice(at + 1).flatMap((other): [string, string][] => (overlaps(one, other) ? [[one.key, other.key]] : [])),
  );
}

test.each(["across", "down"] as Direction[])(
  "%s, sources come before what was made from them, and no two pictures overlap",
  (direction) => {
    for (const graph of [SMALL, NINE]) {
      const layout = layOutFamily(graph, (key) => (key === "a" ? 3 : 0.7), direction);
      for (const { from, to } of graph.lines) {
        const [source, made] = [layout.placed.get(from)!, layout.placed.get(to)!];
        if (direction === "across") expect(source.x + source.width).toBeLessThan(made.x);
        else expect(source.y + source.height).toBeLessThan(made.y);
        expect(source.layer).toBeLessThan(made.layer);
      }
      expect(crowded(layout)).toEqual([]);
      for (const one of layout.placed.values()) {
        expect(one.x).toBeGreaterThanOrEqual(0);
        expect(one.x + one.width).toBeLessThanOrEqual(layout.width);
        expect(one.y + one.height).toBeLessThanOrEqual(layout.height);
      }
    }
  },
);

test("the reading order goes from ancestors to descendants", () => {
  const { order } = layOutFamily(SMALL, square, "across");
  expect(order).toHaveLength(7);
  expect(order[0]).toBe("root");
  expect(order.at(-1)).toBe("e");
  expect(order.indexOf("a")).toBeLessThan(order.indexOf("c"));
});

test("a circle of sources is drawn all the same", () => {
  const layout = layOutFamily(
    family([
      ["a", "b"],
      ["b", "a"],
    ]),
    square,
    "across",
  );
  expect([...layout.placed.keys()].sort()).toEqual(["a", "b"]);
  expect(layout.drawn).toHaveLength(2);
});

test("many that were made from one stand in rows, with one line to all of them", () => {
  const layout = layOutFamily(NINE, square, "across");
  expect(layout.blocks).toHaveLength(1);
  expect(layout.drawn).toHaveLength(1);
  expect(new Set([..."123456789"].map((key) => layout.placed.get(key)!.y)).size).toBe(3);
});

test("three hundred that were made from one another are all placed", () => {
  const edges = Array.from({ length: 299 }, (_, at) => [String(Math.floor(at / 3)), String(at + 1)] as const);
  const layout = layOutFamily(family(edges), square, "across");
  expect(layout.placed.size).toBe(300);
  expect(crowded(layout)).toEqual([]);
});

test("arrows lead along the lines, and to the next of the same layer", () => {
  const layout = layOutFamily(SMALL, square, "across");
  const go = (from: string, key: string) => neighbourOf(SMALL, layout, from, key);
  const [upper, lower] = layout.placed.get("a")!.y < layout.placed.get("b")!.y ? ["a", "b"] : ["b", "a"];
  expect(go("a", "ArrowLeft")).toBe("root");
  expect(go(upper!, "ArrowDown")).toBe(lower);
  expect(go(lower!, "ArrowUp")).toBe(upper);
  expect(go(upper!, "ArrowUp")).toBeUndefined();
  expect(["c", "d"]).toContain(go("a", "ArrowRight"));
  expect(go("e", "ArrowRight")).toBeUndefined();
  expect(["d", "f"]).toContain(go("e", "ArrowLeft"));
});

test("on a phone the same arrows are turned", () => {
  const layout = layOutFamily(SMALL, square, "down");
  expect(neighbourOf(SMALL, layout, "a", "ArrowUp")).toBe("root");
  expect(neighbourOf(SMALL, layout, "d", "ArrowDown")).toBe("e");
  expect(neighbourOf(SMALL, layout, "root", "ArrowLeft")).toBeUndefined();
});

test.each(["across", "down"] as Direction[])(
  "%s, every picture of a block is reached by arrows, and its source again",
  (direction) => {
    const layout = layOutFamily(NINE, square, direction);
    const keys = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"];
    const reached = new Set(["root"]);
    for (const key of reached) {
      for (const arrow of keys) {
        const to = neighbourOf(NINE, layout, key, arrow);
        if (to !== undefined) reached.add(to);
      }
    }
    expect(reached.size).toBe(10);
    const back = direction === "across" ? "ArrowLeft" : "ArrowUp";
    let at = "9";
    for (let steps = 0; at !== "root" && steps < 9; steps++) at = neighbourOf(NINE, layout, at, back)!;
    expect(at).toBe("root");
  },
);
