// Moving photos within an album's order.

import { movePhotos } from "../state/album-actions";
import type { PhotoList } from "../state/photo-list";

export type Where = "first" | "earlier" | "later" | "last";

/** Which photo others are put in front of, null for the end; undefined where they stand there already, or it is not known. */
export function placeFor(
  ids: readonly string[],
  moved: ReadonlySet<string>,
  where: Where,
  more: boolean,
): string | null | undefined {
  const rest = ids.filter((id) => !moved.has(id));
  const first = ids.findIndex((id) => moved.has(id));
  if (first < 0 || rest.length === 0) return undefined;
  const ahead = ids.slice(0, first).length;
  const isTogether = ids.slice(first, first + moved.size).every((id) => moved.has(id));
  if (where === "first") return ahead === 0 && isTogether ? undefined : rest[0];
  if (where === "last") return ahead === rest.length && isTogether && !more ? undefined : null;
  if (where === "earlier") return ahead === 0 ? (isTogether ? undefined : rest[0]) : rest[ahead - 1];
  if (ahead >= rest.length) return undefined;
  return rest[ahead + 1] ?? (more ? undefined : null);
}

/** Moves photos within their album; returns whether there was somewhere to go. */
export function moveWithin(list: PhotoList, chosen: readonly string[], where: Where): boolean {
  const moved = new Set(chosen);
  const ids = list.ids.peek();
  const before = placeFor(ids, moved, where, list.more.peek());
  if (before === undefined) return false;
  movePhotos(
    list,
    ids.filter((id) => moved.has(id)),
    before,
  );
  return true;
}
