import type { PhotoFlag } from "../api/types";
import { count, starsWords } from "../lib/format";

/** What was done to so many photos, in words; null where nothing was. */
type Words = string | null;

function words(many: number, one: string, several: (photos: string) => string): Words {
  if (many === 0) return null;
  return many === 1 ? one : several(count(many, "photo"));
}

export function favoriteWords(favorite: boolean, many: number): Words {
  return favorite
    ? words(many, "Added to the favourites", (photos) => `${photos} added to the favourites`)
    : words(many, "Removed from the favourites", (photos) => `${photos} removed from the favourites`);
}

export function ratingWords(rating: number, many: number): Words {
  if (rating === 0) return words(many, "Rating removed", (photos) => `Rating of ${photos} removed`);
  const stars = starsWords(rating);
  return words(many, `Rated ${stars}`, (photos) => `${photos} rated ${stars}`);
}

const FLAGGED = { pick: "picked", reject: "rejected" };

export function flagWords(flag: PhotoFlag, many: number): Words {
  if (flag === null) return words(many, "Flag removed", (photos) => `Flag of ${photos} removed`);
  const done = FLAGGED[flag];
  return words(many, done.charAt(0).toUpperCase() + done.slice(1), (photos) => `${photos} ${done}`);
}

function quoted(tags: readonly string[]): string {
  return tags.map((tag) => `“${tag}”`).join(", ");
}

export function tagWords(tags: readonly string[], many: number): Words {
  return words(many, `Tagged ${quoted(tags)}`, (photos) => `${photos} tagged ${quoted(tags)}`);
}

export function untagWords(tags: readonly string[], many: number): Words {
  const removed = `${quoted(tags)} removed`;
  return words(many, removed, (photos) => `${removed} from ${photos}`);
}
