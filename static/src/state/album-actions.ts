// What is done with albums and their photos; most of it can be undone.

import { signal } from "@preact/signals";
import type { Album } from "../api/types";
import { count } from "../lib/format";
import { toastFailure } from "../lib/toasts";
import { createAlbum, deleteAlbum, getAlbum, moveInAlbum } from "./albums";
import { type All, undoMany } from "./bulk";
import { changePhotos } from "./photo-actions";
import { type PhotoList, rearranged } from "./photo-list";
import type { Change } from "./photos";
import { offerUndo } from "./undo";

/** What an action is on: photos by their names, or all of a list, of which the page has these. */
export interface Target {
  ids: readonly string[];
  all: All | null;
}

function nameOf(id: string): string {
  return `“${getAlbum(id)?.name ?? "the album"}”`;
}

/** An album gets them oldest first, behind those that it has. */
export function addToAlbum({ ids, all }: Target, { id, name }: Pick<Album, "id" | "name">): Promise<void> {
  const words = { doing: "Adding to the album", failed: "Not added." };
  const change: Change = (photo) =>
    photo.albums.some((one) => one.id === id) ? photo : { ...photo, albums: [...photo.albums, { id, name }] };
  return offerUndo(changePhotos({ action: "add_to_album", value: id, change, words }, ids.toSorted(), all), (many) =>
    many > 0 ? `${count(many, "photo")} added to ${nameOf(id)}` : `Already in ${nameOf(id)}`,
  );
}

export function removeFromAlbum({ ids, all }: Target, album: string): Promise<void> {
  const words = { doing: "Removing from the album", failed: "Not removed." };
  const change: Change = (photo) => ({ ...photo, albums: photo.albums.filter(({ id }) => id !== album) });
  return offerUndo(
    changePhotos({ action: "remove_from_album", value: album, change, words }, ids, all),
    (many) => `${count(many, "photo")} removed from ${nameOf(album)}`,
  );
}

/** A new album with these photos in it; null where it was not made. */
export async function addToNewAlbum(name: string, description: string | null, target: Target | null): Promise<Album | null> {
  try {
    const album = await createAlbum(name, description);
    if (target) void addToAlbum(target, album);
    return album;
  } catch (failure) {
    toastFailure("The album was not made.", failure);
    return null;
  }
}

/** Its photos stay in the library. */
export function removeAlbum({ id, name }: Pick<Album, "id" | "name">): Promise<void> {
  const outcome = deleteAlbum(id).then(
    (undo) => ({ changed: 1, undo: () => undoMany([undo]) }),
    (failure: unknown) => {
      toastFailure("The album was not deleted.", failure);
      return null;
    },
  );
  return offerUndo(outcome, () => `“${name}” was deleted; its photos stay in the library`, { undone: () => `“${name}” is back` });
}

/** For those who hear it: where photos stand since they were moved last. */
export const movedTo = signal("");

/** In the album's own order, of which the list shows what was read. */
export function movePhotos(list: PhotoList, photos: readonly string[], before: string | null): void {
  const album = list.filter.album;
  if (album === null || photos.length === 0) return;
  const after = rearranged(list.ids.peek(), photos, before);
  movedTo.value = `Moved to place ${after.indexOf(photos[0]!) + 1} of ${after.length}`;
  void list.arrange(photos, before, () =>
    moveInAlbum(album, photos, before).catch((failure: unknown) => toastFailure("Not moved.", failure)),
  );
}
