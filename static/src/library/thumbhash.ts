import { thumbHashToDataURL } from "thumbhash";

const KEPT = 2_000;
const decoded = new Map<string, string | null>();

/** A base64 thumbhash as a tiny picture, or null when it cannot be read. */
export function thumbhashUrl(hash: string): string | null {
  const known = decoded.get(hash);
  if (known !== undefined) return known;
  const url = decode(hash);
  decoded.set(hash, url);
  if (decoded.size > KEPT) decoded.delete(decoded.keys().next().value!);
  return url;
}

function decode(hash: string): string | null {
  try {
    return thumbHashToDataURL(Uint8Array.from(atob(hash), (letter) => letter.charCodeAt(0)));
  } catch {
    return null;
  }
}
