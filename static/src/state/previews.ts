// Preview frames of items that run.

import { type Signal, signal } from "@preact/signals";

/** The last whole preview frame of an item, as an object URL, or null before the first. */
export type Frame = Signal<string | null>;

interface Follower {
  frame: Frame;
  wanted: string | null;
  shown: string | null;
  busy: boolean;
  ended: boolean;
}

/** Ended items keep their last frame for a while: it stands in for the photo until that is home. */
const KEPT_AFTER_END = 64;
const followers = new Map<string, Follower>();

function follower(key: string): Follower {
  let known = followers.get(key);
  if (!known) {
    known = { frame: signal(null), wanted: null, shown: null, busy: false, ended: false };
    followers.set(key, known);
  }
  return known;
}

export function previewOf(key: string): Frame {
  return follower(key).frame;
}

/** Shows the newest frame once it is wholly here; frames that arrive meanwhile are skipped, the newest is fetched next. */
export function followPreview(key: string, url: string): void {
  const own = follower(key);
  own.wanted = url;
  if (!own.busy) void fetchFrames(own);
}

async function fetchFrames(own: Follower): Promise<void> {
  own.busy = true;
  while (own.wanted !== null && own.wanted !== own.shown) {
    own.shown = own.wanted;
    const picture = await fetchFrame(own.shown);
    if (picture) replaceFrame(own, picture);
  }
  own.busy = false;
}

/** Null when the server no longer has this frame; the last one then stays. */
async function fetchFrame(url: string): Promise<string | null> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(10_000) });
    return response.ok ? URL.createObjectURL(await response.blob()) : null;
  } catch {
    return null;
  }
}

function replaceFrame(own: Follower, picture: string): void {
  const old = own.frame.peek();
  own.frame.value = picture;
  // The old frame may still be on screen while the new one decodes.
  if (old) setTimeout(() => URL.revokeObjectURL(old), 2_000);
}

export function forgetPreview(key: string): void {
  const own = followers.get(key);
  if (!own) return;
  own.ended = true;
  own.wanted = null;
  const ended = [...followers].filter(([, one]) => one.ended);
  for (const [old, one] of ended.slice(0, Math.max(0, ended.length - KEPT_AFTER_END))) {
    followers.delete(old);
    if (one.frame.peek()) URL.revokeObjectURL(one.frame.peek()!);
  }
}
