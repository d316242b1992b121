/**
 * Where each picture of a family stands: layers from ancestors to descendants. The only place that knows the layout library.
 *
 * It is @dagrejs/dagre: 15 KB compressed, layered layouts with bent edges, kept up to date, MIT. elkjs does more in thirty times
 * the size, d3-dag brings two solvers of its own and is slow on wide layers.
 */
import { Graph as Layers, layout } from "@dagrejs/dagre";
import { blocksOf, type Graph, type Line } from "./graph";

/** Ancestors left, or above. */
export type Direction = "across" | "down";

/** A picture with the label before it, and where they stand. Sizes in pixels at a scale of 1. */
export interface Placed {
  key: string;
  /** Of the picture. */
  x: number;
  y: number;
  width: number;
  height: number;
  /** Of the label: what changed. Null where nothing stands. */
  label: { x: number; y: number; width: number; height: number; beside: boolean } | null;
  layer: number;
  /** In a block: which one, and in which of its columns, or rows where layers lie one below the other. */
  block: string | null;
  part: number;
}

interface Drawn {
  line: Line;
  path: string;
  /** Where a word about it may stand. */
  middle: { x: number; y: number };
}

export interface Layout {
  direction: Direction;
  placed: ReadonlyMap<string, Placed>;
  /** From ancestors to descendants, and within a layer as they stand. */
  order: readonly string[];
  drawn: readonly Drawn[];
  blocks: readonly { x: number; y: number; width: number; height: number }[];
  width: number;
  height: number;
}

const PICTURE = 96;
const NARROWEST = 56;
const WIDEST = 152;
/** Of the label left of a picture, above it, and under it in a block. */
const LABEL_WIDTH = 124;
const LABEL_HEIGHT = 36;
const CAPTION = 18;
const LABEL_GAP = 8;
const BLOCK_GAP = 12;
const PADDING = 12;
const MARGIN = 24;

/** Pictures are equally high; very long ones are cut. */
function widthOf(ratio: number): number {
  return Math.round(Math.min(WIDEST, Math.max(NARROWEST, PICTURE * ratio)));
}

interface Box {
  id: string;
  keys: string[];
  width: number;
  height: number;
  columns: number;
}

const CELL_WIDTH = WIDEST;
const CELL_HEIGHT = PICTURE + CAPTION;

function blockBox(id: string, keys: string[], direction: Direction): Box {
  // Across, layers are narrow: a block is rather high than wide; down, it is rather wide.
  const shape = direction === "across" ? 0.8 : 0.6;
  const columns = Math.max(2, Math.ceil(Math.sqrt(keys.length * shape)));
  const rows = Math.ceil(keys.length / columns);
  return {
    id,
    keys,
    columns,
    width: 2 * PADDING + columns * CELL_WIDTH + (columns - 1) * BLOCK_GAP,
    height: 2 * PADDING + rows * CELL_HEIGHT + (rows - 1) * BLOCK_GAP,
  };
}

function singleBox(key: string, hasLabel: boolean, direction: Direction): Box {
  const label = hasLabel ? (direction === "across" ? LABEL_WIDTH : LABEL_HEIGHT) + LABEL_GAP : 0;
  return {
    id: key,
    keys: [key],
    columns: 1,
    width: WIDEST + (direction === "across" ? label : 0),
    height: PICTURE + (direction === "down" ? label : 0),
  };
}

/** `ratioOf` is a picture's width by its height. */
export function layOutFamily(graph: Graph, ratioOf: (key: string) => number, direction: Direction): Layout {
  const boxes = new Map<string, Box>();
  const boxOf = new Map<string, Box>();
  blocksOf(graph).forEach((keys, at) => {
    const box = blockBox(`block:${at}`, keys, direction);
    boxes.set(box.id, box);
    for (const key of keys) boxOf.set(key, box);
  });
  for (const key of graph.nodes) {
    if (boxOf.has(key)) continue;
    const box = singleBox(key, graph.parents.has(key), direction);
    boxes.set(box.id, box);
    boxOf.set(key, box);
  }

  const layers = new Layers();
  layers.setGraph({
    rankdir: direction === "across" ? "LR" : "TB",
    // The tightest layers are not worth three times as long.
    ranker: "tight-tree",
    nodesep: direction === "across" ? 20 : 24,
    edgesep: 12,
    ranksep: direction === "across" ? 56 : 44,
    marginx: MARGIN,
    marginy: MARGIN,
  });
  for (const { id, width, height } of boxes.values()) layers.setNode(id, { width, height });
  for (const { from, to } of graph.lines) {
    const [source, target] = [boxOf.get(from), boxOf.get(to)];
    if (source && target && source !== target) layers.setEdge(source.id, target.id, {});
  }
  layout(layers);

  const placed = new Map<string, Placed>();
  const blocks: Layout["blocks"][number][] = [];
  const along = direction === "across" ? "x" : "y";
  const starts: number[] = [...new Set([...boxes.keys()].map((id) => Math.round(layers.node(id)[along]!)))].sort((a, b) => a - b);
  /** By the middle of a layer, how deep it is. */
  const depths = new Map<number, number>();
  for (const { id, width, height } of boxes.values()) {
    const middle = Math.round(layers.node(id)[along]!);
    depths.set(middle, Math.max(depths.get(middle) ?? 0, direction === "across" ? width : height));
  }
  for (const box of boxes.values()) {
    const centre = layers.node(box.id) as { x: number; y: number };
    const left = centre.x - box.width / 2;
    const top = centre.y - box.height / 2;
    const layer = starts.indexOf(Math.round(centre[along]));
    if (box.keys.length > 1) {
      blocks.push({ x: left, y: top, width: box.width, height: box.height });
      for (const [at, key] of box.keys.entries()) placed.set(key, inBlock(box, key, at, left, top, layer, ratioOf(key), direction));
    } else placed.set(box.id, single(box.id, graph.parents.has(box.id), left, top, layer, ratioOf(box.id), direction));
  }

  const drawn = new Map<string, Drawn>();
  for (const line of graph.lines) {
    const [source, target] = [boxOf.get(line.from), boxOf.get(line.to)];
    if (!source || !target || source === target) continue;
    const key = `${source.id}>${target.id}`;
    if (drawn.has(key)) continue;
    const edge = layers.edge(source.id, target.id) as { points: { x: number; y: number }[] };
    const isBlock = target.keys.length > 1;
    const from = placed.get(line.from)!;
    const to = isBlock ? blockStart(layers.node(target.id) as Centred, direction) : startOf(placed.get(line.to)!, direction);
    const passes = passesOf(edge.points, along, depths);
    const points = [endOf(from, direction), ...passes, to.entry];
    const last = isBlock ? "" : `L${at(to.end)}`;
    drawn.set(key, { line, path: curve(points, direction) + last, middle: middleOf(points) });
  }

  const order = [...placed.values()].sort((a, b) => a.layer - b.layer || a.y - b.y || a.x - b.x);
  const { width, height } = layers.graph() as { width: number; height: number };
  return { direction, placed, order: order.map(({ key }) => key), drawn: [...drawn.values()], blocks, width, height };
}

interface Centred {
  x: number;
  y: number;
  width: number;
  height: number;
}
interface Point {
  x: number;
  y: number;
}

/** Where a line goes straight between the boxes of the layers that it passes. The library tells a point between two layers too. */
function passesOf(points: readonly Point[], along: "x" | "y", depths: ReadonlyMap<number, number>): Point[] {
  return points.slice(1, -1).flatMap((point) => {
    const depth = depths.get(Math.round(point[along]));
    if (depth === undefined) return [];
    return [
      { ...point, [along]: point[along] - depth / 2 },
      { ...point, [along]: point[along] + depth / 2 },
    ];
  });
}

function single(
  key: string,
  hasLabel: boolean,
  left: number,
  top: number,
  layer: number,
  ratio: number,
  direction: Direction,
): Placed {
  const width = widthOf(ratio);
  const across = direction === "across";
  const before = hasLabel ? (across ? LABEL_WIDTH : LABEL_HEIGHT) + LABEL_GAP : 0;
  const x = across ? left + before : left + (WIDEST - width) / 2;
  const y = across ? top : top + before;
  const label = across
    ? { x: left, y: top, width: LABEL_WIDTH, height: PICTURE / 2, beside: true }
    : { x: left, y: top, width: WIDEST, height: LABEL_HEIGHT, beside: false };
  return { key, x, y, width, height: PICTURE, label: hasLabel ? label : null, layer, block: null, part: 0 };
}

function inBlock(
  box: Box,
  key: string,
  at: number,
  left: number,
  top: number,
  layer: number,
  ratio: number,
  direction: Direction,
): Placed {
  const column = at % box.columns;
  const row = Math.floor(at / box.columns);
  const cell = { x: left + PADDING + column * (CELL_WIDTH + BLOCK_GAP), y: top + PADDING + row * (CELL_HEIGHT + BLOCK_GAP) };
  const width = widthOf(ratio);
  return {
    key,
    x: cell.x + (CELL_WIDTH - width) / 2,
    y: cell.y,
    width,
    height: PICTURE,
    label: { x: cell.x, y: cell.y + PICTURE, width: CELL_WIDTH, height: CAPTION, beside: false },
    layer,
    block: box.id,
    part: direction === "across" ? column : row,
  };
}

function endOf({ x, y, width, height }: Placed, direction: Direction): Point {
  return direction === "across" ? { x: x + width, y: y + height / 2 } : { x: x + width / 2, y: y + height };
}

/** Where a line comes to the label, and where it ends at the picture. */
function startOf({ x, y, width, height, label }: Placed, direction: Direction): { entry: Point; end: Point } {
  if (direction === "across") return { entry: { x: label?.x ?? x, y: y + height / 2 }, end: { x, y: y + height / 2 } };
  return { entry: { x: x + width / 2, y: label?.y ?? y }, end: { x: x + width / 2, y } };
}

function blockStart({ x, y, width, height }: Centred, direction: Direction): { entry: Point; end: Point } {
  const entry = direction === "across" ? { x: x - width / 2, y } : { x, y: y - height / 2 };
  return { entry, end: entry };
}

function at({ x, y }: Point): string {
  return `${Math.round(x * 10) / 10} ${Math.round(y * 10) / 10}`;
}

/** Leaves and arrives in the direction of the layout, through every point. */
function curve(points: readonly Point[], direction: Direction): string {
  let path = `M${at(points[0]!)}`;
  for (let index = 1; index < points.length; index++) {
    const [from, to] = [points[index - 1]!, points[index]!];
    if (direction === "across") {
      const half = (to.x - from.x) / 2;
      path += `C${at({ x: from.x + half, y: from.y })} ${at({ x: to.x - half, y: to.y })} ${at(to)}`;
    } else {
      const half = (to.y - from.y) / 2;
      path += `C${at({ x: from.x, y: from.y + half })} ${at({ x: to.x, y: to.y - half })} ${at(to)}`;
    }
  }
  return path;
}

function middleOf(points: readonly Point[]): Point {
  if (points.length % 2 === 1) return points[(points.length - 1) / 2]!;
  const [a, b] = [points[points.length / 2 - 1]!, points[points.length / 2]!];
  return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 };
}
