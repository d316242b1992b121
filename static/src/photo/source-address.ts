// The address at which a photo is the source of the next step.

import { navigate } from "wouter-preact/use-browser-location";
import type { Photo } from "../api/types";
import { below, pathHere } from "../lib/base";
import { isHome } from "../state/photos";

const SESSION = /^\/studio\/[^/]+(?:\/[^/]+)?$/;

/** Only of what is here a picture can be made. */
export function canBeSource(photo: Photo): boolean {
  return isHome(photo) && photo.deleted_at === null;
}

/**
 * Where a photo is the source of what is made next: in the session that is open, else beside the step that made the photo,
 * else in a new session.
 */
export function sourceAddress({ id, session_id, step_id }: Pick<Photo, "id" | "session_id" | "step_id">): string {
  const own = session_id !== null && step_id !== null ? `/studio/${session_id}/${step_id}` : "/studio/new";
  const place = SESSION.test(pathHere()) ? pathHere() : own;
  return `${place}?source=${id}`;
}

export function openAsSource(photo: Photo): void {
  if (!canBeSource(photo)) return;
  const address = sourceAddress(photo);
  // Back leads to where the photo was seen, and not to the same page once more.
  navigate(below(address), { replace: location.search === "" && address.startsWith(`${pathHere()}?`) });
}
