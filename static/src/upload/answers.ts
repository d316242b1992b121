import type { Photo, UploadedPhoto } from "../api/types";

/** What became of one attempt to upload a file. */
export type Answer =
  | { kind: "here"; photo: Photo; duplicate: boolean }
  /** Asked again with the same file, the answer would be the same. */
  | { kind: "refused"; words: string }
  /** Darkroom takes nothing just now, of any file. */
  | { kind: "later"; words: string; seconds: number }
  | { kind: "signed-out" }
  /** Not known: the connection broke, or Darkroom failed. `sent`: the file had been sent whole. */
  | { kind: "broken"; words: string; sent: boolean };

const LATER_SECONDS = 5;
const LONGEST_SECONDS = 300;

/** From `Retry-After`: seconds, or a date. */
export function secondsOf(retryAfter: string | null, now: number): number {
  const text = retryAfter?.trim() ?? "";
  const seconds = /^\d+$/.test(text) ? Number(text) : (Date.parse(text) - now) / 1000;
  return Number.isFinite(seconds) ? Math.min(LONGEST_SECONDS, Math.max(1, seconds)) : LATER_SECONDS;
}

function wordsOf(body: unknown): string | null {
  const error = (body as { error?: { message?: unknown } } | null)?.error;
  return typeof error?.message === "string" && error.message !== "" ? sentence(error.message) : null;
}

/** The service's words, to be followed by others. */
function sentence(words: string): string {
  return `${words.charAt(0).toUpperCase()}${words.slice(1)}${/[.!?]$/.test(words) ? "" : "."}`;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** What an answer of `POST /photos` means. */
export function readAnswer(status: number, text: string, retryAfter: string | null, now = Date.now()): Answer {
  const body = parse(text);
  const said = wordsOf(body) ?? `Darkroom answered ${status}.`;
  if (status === 200 || status === 201) {
    const photo = body as UploadedPhoto | null;
    if (typeof photo?.id !== "string") return { kind: "broken", words: "The answer was no photo.", sent: true };
    return { kind: "here", photo, duplicate: photo.duplicate };
  }
  if (status === 401) return { kind: "signed-out" };
  if (status === 429 || status === 503) return { kind: "later", words: said, seconds: secondsOf(retryAfter, now) };
  if (status === 413 && wordsOf(body) === null) return { kind: "refused", words: "The file is too large." };
  // 408: it was sent too slowly.
  if (status >= 400 && status < 500 && status !== 408) return { kind: "refused", words: said };
  return { kind: "broken", words: said, sent: true };
}
