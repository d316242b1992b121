import { signal } from "@preact/signals";
import type { Album, Photo } from "../api/types";
import { count } from "../app/format";
import { toastFailure } from "../app/toasts";
import { createAlbum, deleteAlbum, getAlbum, moveInAlbum } from "./albums";
import { type All, changeMany, type Outcome } from "./bulk";
import { moment, toldSince } from "./freshness";
import { showPhoto } from "./photo-actions";
import { type PhotoList, rearranged } from "./photo-list";
import { getPhoto } from "./photos";
import { offerUndo } from "./undo";

type Albums = Photo["albums"];

/** What an action is on: photos by their names, or all of a list, of which the page has these. */
export interface Target {
  ids: readonly string[];
  all: All | null;
}

function nameOf(id: string): string {
  return `“${getAlbum(id)?.name ?? "the album"}”`;
}

/** Shown at once, and taken back where it failed. */
async function change(
  action: "add_to_album" | "remove_from_album",
  { ids, all }: Target,
  album: string,
  after: (albums: Albums) => Albums,
  words: { doing: string; failed: string },
): Promise<Outcome | null> {
  const before = ids.map((id) => getPhoto(id)?.peek()).filter((photo) => photo !== undefined);
  const request = changeMany(action, ids, all, album);
  // Before anything leaves the list, which would read on.
  if (all && action === "remove_from_album" && all.list.filter.album === album) void all.list.during(words.doing, request);
  for (const photo of before) showPhoto(photo.id, { ...photo, albums: after(photo.albums) });
  const asked = moment();
  try {
    return await request;
  } catch (failure) {
    for (const photo of before) if (!toldSince(photo.id, asked)) showPhoto(photo.id, photo);
    toastFailure(words.failed, failure);
    return null;
  }
}

/** An album gets them oldest first, behind those that it has. */
export function addToAlbum(target: Target, album: Pick<Album, "id" | "name">): Promise<void> {
  const inTime = { ...target, ids: target.ids.toSorted() };
  const others = (albums: Albums) => albums.filter(({ id }) => id !== album.id);
  const outcome = change("add_to_album", inTime, album.id, (albums) => [...others(albums), { id: album.id, name: album.name }], {
    doing: "Adding to the album",
    failed: "Not added.",
  });
  return offerUndo(outcome, (many) =>
    many > 0 ? `${count(many, "photo")} added to ${nameOf(album.id)}` : `Already in ${nameOf(album.id)}`,
  );
}

export function removeFromAlbum(target: Target, album: string): Promise<void> {
  const after = (albums: Albums) => albums.filter(({ id }) => id !== album);
  const words = { doing: "Removing from the album", failed: "Not removed." };
  return offerUndo(
    change("remove_from_album", target, album, after, words),
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
    (undo) => ({ changed: 1, undo: [undo] }),
    (failure: unknown) => {
      toastFailure("The album was not deleted.", failure);
      return null;
    },
  );
  return offerUndo(
    outcome,
    () => `“${name}” was deleted; its photos stay in the library`,
    () => `“${name}” is back`,
  );
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
