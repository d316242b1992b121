// Favourites, ratings, flags and tags of photos.

import type { PhotoFlag } from "../api/types";
import { toast } from "../lib/toasts";
import type { All } from "./bulk";
import { favoriteWords, flagWords, ratingWords, tagWords, untagWords } from "./mark-words";
import { changePhotos } from "./photo-actions";
import { type Change, getPhoto } from "./photos";
import { MOST_TAGS, withoutTags, withTags } from "./tags";
import { offerUndo } from "./undo";

/** What the owner says of photos: of those named, or, with `all`, of all of a list. */

/** Of what is done to one photo after the other, only the last is told. */
const ONE = "mark";

type Wanted = Parameters<typeof changePhotos>[0];

function mark(wanted: Omit<Wanted, "words">, ids: readonly string[], all: All | null, words: (many: number) => string | null) {
  const doing = DOING[wanted.action as keyof typeof DOING];
  const outcome = changePhotos({ ...wanted, words: { doing, failed: "Not changed." } }, ids, all);
  return offerUndo(outcome, words, { kind: !all && ids.length === 1 ? ONE : undefined });
}

const DOING = {
  favorite: "Changing favourites",
  unfavorite: "Changing favourites",
  rate: "Rating",
  pick: "Flagging",
  tag: "Tagging",
  untag: "Removing tags",
};

export function setFavorite(favorite: boolean, ids: readonly string[], all: All | null = null): Promise<void> {
  const change: Change = (photo) => ({ ...photo, favorite });
  return mark({ action: favorite ? "favorite" : "unfavorite", change }, ids, all, (many) => favoriteWords(favorite, many));
}

export function toggleFavorite(id: string): void {
  const photo = getPhoto(id)?.peek();
  if (photo) void setFavorite(!photo.favorite, [id]);
}

export function rate(rating: number, ids: readonly string[], all: All | null = null): Promise<void> {
  const change: Change = (photo) => ({ ...photo, rating });
  return mark({ action: "rate", value: rating, change }, ids, all, (many) => ratingWords(rating, many));
}

export function flag(pick: PhotoFlag, ids: readonly string[], all: All | null = null): Promise<void> {
  const change: Change = (photo) => ({ ...photo, pick });
  return mark({ action: "pick", value: pick, change }, ids, all, (many) => flagWords(pick, many));
}

/** A photo that would have too many keeps those it has. */
export function tag(tags: readonly string[], ids: readonly string[], all: All | null = null): Promise<void> {
  if (tags.length === 0) return Promise.resolve();
  const change: Change = (photo) => ({ ...photo, tags: withTags(photo.tags, tags) });
  const known = ids.map((id) => getPhoto(id)?.peek()).filter((photo) => photo !== undefined);
  if (known.some((photo) => change(photo).tags === photo.tags && tags.some((one) => !photo.tags.includes(one))))
    toast(`A photo has at most ${MOST_TAGS} tags.`, { tone: "bad" });
  return mark({ action: "tag", value: [...tags], change }, ids, all, (many) => tagWords(tags, many));
}

export function untag(tags: readonly string[], ids: readonly string[], all: All | null = null): Promise<void> {
  const change: Change = (photo) => ({ ...photo, tags: withoutTags(photo.tags, tags) });
  return mark({ action: "untag", value: [...tags], change }, ids, all, (many) => untagWords(tags, many));
}

/** The keys of what is chosen, or stood on. */
export function markKeys(act: {
  favorite: () => void;
  rate: (rating: number) => void;
  flag: (flag: PhotoFlag) => void;
}): Record<string, () => void> {
  const keys: Record<string, () => void> = {
    f: act.favorite,
    p: () => act.flag("pick"),
    x: () => act.flag("reject"),
    u: () => act.flag(null),
  };
  for (let rating = 0; rating <= 5; rating++) keys[rating] = () => act.rate(rating);
  return keys;
}
