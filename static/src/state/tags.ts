// Tags: as they are typed, counted and completed.

import type { Photo } from "../api/types";
import { everyPhoto } from "./photos";

/** As many as a photo may have, and as many characters each. */
export const MOST_TAGS = 100;
export const LONGEST_TAG = 100;

/** What was typed, as tags: a comma ends one. */
export function parseTags(text: string): string[] {
  const tags = text.split(",").map((tag) => tag.normalize("NFC").trim());
  return [...new Set(tags.filter(Boolean))];
}

/** The same list where nothing is added, or it would be too long. */
export function withTags(tags: readonly string[], added: readonly string[]): string[] {
  const all = [...new Set([...tags, ...added])];
  return all.length === tags.length || all.length > MOST_TAGS ? (tags as string[]) : all;
}

export function withoutTags(tags: readonly string[], removed: readonly string[]): string[] {
  return tags.filter((tag) => !removed.includes(tag));
}

/** The tags of some photos, each with how many have it: the most frequent first. */
export function countTags(photos: Iterable<Photo>): [tag: string, many: number][] {
  const counts = new Map<string, number>();
  for (const { tags } of photos) for (const tag of tags) counts.set(tag, (counts.get(tag) ?? 0) + 1);
  return [...counts].sort(([a, many], [b, more]) => more - many || (a < b ? -1 : 1));
}

/** Of all photos that the page knows. */
export function tagsInUse(): string[] {
  return countTags(peeked()).map(([tag]) => tag);
}

function* peeked(): Iterable<Photo> {
  for (const photo of everyPhoto()) yield photo.peek();
}

/** Those of `known` that what is typed may become: first those that begin with it, then those of which a word does. */
export function completions(typed: string, known: readonly string[], has: readonly string[], most: number): string[] {
  const wanted = typed.normalize("NFC").trim().toLowerCase();
  const others = known.filter((tag) => !has.includes(tag) && tag !== typed.trim());
  const begins = others.filter((tag) => tag.toLowerCase().startsWith(wanted));
  const within = others.filter((tag) => !begins.includes(tag) && tag.toLowerCase().includes(` ${wanted}`));
  return [...begins, ...within].slice(0, most);
}
