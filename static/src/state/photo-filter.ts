// Which photos a list shows.

import type { BulkFilter, Photo, PhotoSource, PhotosOfModel } from "../api/types";

export interface PhotoFilter {
  trashed: boolean;
  source: PhotoSource | null;
  session: string | null;
  album: string | null;
  /** `position`: the album's own. */
  order: "newest" | "position";
  favorite: boolean;
  /** At least so many stars. */
  ratingMin: number | null;
  /** Any of these. */
  flags: readonly FlagFilter[] | null;
  tag: string | null;
  /** Only what was made with a model or LoRA, by its keys and name. */
  madeWith: PhotosOfModel | null;
  /** Words to search for; only the service can tell what they match. */
  q: string | null;
}

/** Whether it leaves photos of its place out, but for a search. */
export function isNarrowed({ source, session, favorite, ratingMin, flags, tag, madeWith }: PhotoFilter): boolean {
  return favorite || [source, session, ratingMin, flags, tag, madeWith].some((one) => one !== null);
}

export type FlagFilter = NonNullable<Photo["pick"]> | "none";

/** A filter that narrows nothing: all photos of a place. */
export const UNNARROWED = {
  source: null,
  session: null,
  favorite: false,
  ratingMin: null,
  flags: null,
  tag: null,
  madeWith: null,
  q: null,
} as const;

/** As the service finds them. */
export function wasMadeWith(photo: Photo, { model, lora }: PhotosOfModel): boolean {
  const has = (values: readonly string[] | null, named: readonly (string | null)[]) =>
    values === null || named.some((name) => name !== null && values.includes(name));
  return has(model, [photo.model_key, photo.model_name]) && has(lora, photo.loras ?? []);
}

/** Whether a photo is found, but for a search: only the service knows what that finds. */
export function matches(photo: Photo, filter: PhotoFilter): boolean {
  return (
    (photo.deleted_at !== null) === filter.trashed &&
    (filter.source === null || photo.source === filter.source) &&
    (filter.session === null || photo.session_id === filter.session) &&
    (filter.album === null || photo.albums.some(({ id }) => id === filter.album)) &&
    (!filter.favorite || photo.favorite) &&
    photo.rating >= (filter.ratingMin ?? 0) &&
    (filter.flags === null || filter.flags.includes(photo.pick ?? "none")) &&
    (filter.tag === null || photo.tags.includes(filter.tag)) &&
    (filter.madeWith === null || wasMadeWith(photo, filter.madeWith))
  );
}

/** A list's filter, in the words of the service. */
export function queryOf(filter: PhotoFilter): BulkFilter {
  const { trashed, source, session, album, order, favorite, ratingMin, flags, tag, madeWith, q } = filter;
  return {
    trashed,
    source: source && [source],
    session_id: session === null ? null : [session],
    album_id: album === null ? null : [album],
    favorite: favorite || null,
    rating_min: ratingMin,
    pick: flags && [...flags],
    tag: tag === null ? null : [tag],
    ...madeWith,
    q,
    order,
  };
}
