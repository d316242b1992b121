// All albums that the page knows.

import { batch, computed, signal } from "@preact/signals";
import { answerOf, api } from "../api/client";
import type { Album, Photo } from "../api/types";
import { reasonOf } from "../lib/format";
import { moment, tell, toldSince } from "./freshness";

/** Those that are known, by id: all of them once they were read. */
const known = signal<ReadonlyMap<string, Album>>(new Map());
/** Deleted since the page was opened, here or elsewhere. */
const removed = signal<ReadonlySet<string>>(new Set());
const isRead = signal(false);

export const albumsError = signal<string | null>(null);
/** The latest changed first; null before they were read. */
export const albums = computed<readonly Album[] | null>(() =>
  isRead.value ? [...known.value.values()].sort((a, b) => compare(b.updated_at, a.updated_at) || compare(b.id, a.id)) : null,
);

const PAGE = 200;
let reading: Promise<void> | null = null;

/** Reads all of them. Asked for again meanwhile, it is not read twice. */
export function loadAlbums(): Promise<void> {
  reading ??= readAll().finally(() => {
    reading = null;
  });
  return reading;
}

/** Once; what changes later is told by the feed. */
export function needAlbums(): void {
  if (!isRead.peek()) void loadAlbums();
}

async function readAll(): Promise<void> {
  const asked = moment();
  const found: Album[] = [];
  let cursor: string | null = null;
  try {
    do {
      const query = { limit: PAGE, count: false, cursor };
      const page: { items: Album[]; next_cursor: string | null } = await answerOf(api.GET("/api/v1/albums", { params: { query } }));
      found.push(...page.items);
      cursor = page.next_cursor;
    } while (cursor !== null);
  } catch (failure) {
    albumsError.value = reasonOf(failure);
    return;
  }
  const now = new Map(found.map((album) => [album.id, album]));
  for (const id of [...now.keys(), ...known.peek().keys()]) {
    if (!toldSince(id, asked)) continue;
    const told = known.peek().get(id);
    if (told) now.set(id, told);
    else now.delete(id);
  }
  batch(() => {
    known.value = now;
    isRead.value = true;
    albumsError.value = null;
  });
}

export function readAgainAlbums(): void {
  if (isRead.peek() || albumsError.peek() !== null) void loadAlbums();
}

export function getAlbum(id: string): Album | undefined {
  return known.value.get(id);
}

export function isAlbumRemoved(id: string): boolean {
  return removed.value.has(id);
}

/** `asked` is the moment of the request that brought it. */
export function putAlbum(album: Album, asked = Number.POSITIVE_INFINITY): void {
  if (toldSince(album.id, asked)) return;
  batch(() => {
    known.value = new Map(known.peek()).set(album.id, album);
    if (removed.peek().has(album.id)) removed.value = without(removed.peek(), album.id);
  });
}

export function dropAlbum(id: string): void {
  batch(() => {
    const left = new Map(known.peek());
    left.delete(id);
    known.value = left;
    removed.value = new Set(removed.peek()).add(id);
  });
}

export async function loadAlbum(id: string, signal?: AbortSignal): Promise<void> {
  const asked = moment();
  const params = { path: { album_id: id } };
  putAlbum(await answerOf(api.GET("/api/v1/albums/{album_id}", { params, signal: signal ?? null })), asked);
}

export async function createAlbum(name: string, description: string | null = null): Promise<Album> {
  const album = await answerOf(api.POST("/api/v1/albums", { body: { name, description } }));
  // The feed may have told more of it already.
  if (!known.peek().has(album.id)) putAlbum(album);
  return album;
}

export async function updateAlbum(
  id: string,
  change: { name?: string; description?: string | null; cover_photo_id?: string | null },
): Promise<void> {
  const asked = moment();
  putAlbum(await answerOf(api.PATCH("/api/v1/albums/{album_id}", { params: { path: { album_id: id } }, body: change })), asked);
}

/** What brings it back. */
export async function deleteAlbum(id: string): Promise<string> {
  const { undo } = await answerOf(api.DELETE("/api/v1/albums/{album_id}", { params: { path: { album_id: id } } }));
  tell(id);
  dropAlbum(id);
  return undo;
}

/** Puts a photo behind the others; one that is in the album already stays where it is. */
export async function appendToAlbum(id: string, photo: string): Promise<void> {
  const asked = moment();
  const body = { photo_ids: [photo] };
  putAlbum(await answerOf(api.POST("/api/v1/albums/{album_id}/photos", { params: { path: { album_id: id } }, body })), asked);
}

/** Puts photos of an album before another one of it, or last. */
export async function moveInAlbum(id: string, photos: readonly string[], before: string | null): Promise<void> {
  const asked = moment();
  const body = { photo_ids: [...photos], before };
  putAlbum(await answerOf(api.PATCH("/api/v1/albums/{album_id}/photos", { params: { path: { album_id: id } }, body })), asked);
}

/** Of a photo, by name, as they are called now. */
export function albumsOf(photo: Photo): { id: string; name: string }[] {
  return photo.albums
    .filter(({ id }) => !removed.value.has(id))
    .map(({ id, name }) => ({ id, name: known.value.get(id)?.name ?? name }))
    .sort((a, b) => a.name.localeCompare(b.name));
}

function without(set: ReadonlySet<string>, id: string): ReadonlySet<string> {
  const less = new Set(set);
  less.delete(id);
  return less;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
