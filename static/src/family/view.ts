/** Which part of a drawing is seen, and how large. */
export interface View {
  x: number;
  y: number;
  scale: number;
}

interface Size {
  width: number;
  height: number;
}

interface Rectangle extends Size {
  x: number;
  y: number;
}

const SMALLEST = 0.05;
const LARGEST = 2;
/** When the page opens, pictures are at least so large that they can be told apart. */
const READABLE = 0.34;
/** Kept free around what is brought into view. */
const EDGE = 32;

function limited(scale: number): number {
  return Math.min(LARGEST, Math.max(SMALLEST, scale));
}

/** All of it, in the middle; never enlarged. */
export function fitView(drawing: Size, window: Size): View {
  const scale = limited(Math.min(1, window.width / drawing.width, window.height / drawing.height));
  return { scale, x: (window.width - drawing.width * scale) / 2, y: (window.height - drawing.height * scale) / 2 };
}

/** All of it where its pictures can be told apart then, else as much as fits around the photo that it is about. */
export function firstView(drawing: Size, window: Size, about: Rectangle | undefined): View {
  const all = fitView(drawing, window);
  if (all.scale >= READABLE || about === undefined) return all;
  const centred = (size: number, room: number, middle: number) =>
    size * READABLE <= room
      ? (room - size * READABLE) / 2
      : Math.min(0, Math.max(room - size * READABLE, room / 2 - middle * READABLE));
  return {
    scale: READABLE,
    x: centred(drawing.width, window.width, about.x + about.width / 2),
    y: centred(drawing.height, window.height, about.y + about.height / 2),
  };
}

/** Larger or smaller around a point of the window. */
export function zoomed(view: View, by: number, around: { x: number; y: number }): View {
  const scale = limited(view.scale * by);
  const change = scale / view.scale;
  return { scale, x: around.x - (around.x - view.x) * change, y: around.y - (around.y - view.y) * change };
}

/** Moved as little as brings a part of the drawing into the window. */
export function revealed(view: View, part: Rectangle, window: Size): View {
  const along = (at: number, from: number, size: number, room: number) => {
    const start = at + from * view.scale;
    const end = start + size * view.scale;
    const edge = Math.min(EDGE, Math.max(0, (room - size * view.scale) / 2));
    if (start < edge) return at + edge - start;
    return end > room - edge ? at - (end - room + edge) : at;
  };
  return {
    scale: view.scale,
    x: along(view.x, part.x, part.width, window.width),
    y: along(view.y, part.y, part.height, window.height),
  };
}

/** Moved so that the drawing cannot be lost out of the window. */
export function kept(view: View, drawing: Size, window: Size): View {
  const within = (at: number, size: number, room: number) => {
    const some = Math.min(80, (size * view.scale) / 2);
    return Math.min(room - some, Math.max(some - size * view.scale, at));
  };
  return { ...view, x: within(view.x, drawing.width, window.width), y: within(view.y, drawing.height, window.height) };
}
