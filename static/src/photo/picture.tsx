import type { Signal } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import { thumbHashToDataURL } from "thumbhash";
import type { Photo } from "../api/types";
import { Icon } from "../components/icon";
import { CircleAlert, ImageOff, RotateCcw, Unplug } from "../components/icons";
import { Ring } from "../components/progress";
import { pixelRatio } from "../lib/responsive";
import { resyncEvents } from "../state/feed-events";
import { itemOfPhoto, liveItems } from "../state/items";
import { retryRetrieval } from "../state/photo-actions";
import { isHome, isLost, lostReason } from "../state/photos";
import { type Frame, previewOf } from "../state/previews";
import { isAway } from "../state/server-alarm";
import { type Box, sourcesFor } from "./renditions";

/** Pictures that were on screen before come back without a fade. */
const seen = new Set<string>();

/** How much of a photo has failed to load: the large rendition, or the small one too. */
const NOTHING = 0;
const LARGE = 1;
const BOTH = 2;

/** The best there is of a photo (rendition, last preview, thumbhash), or why there is none. Fills its box, which may be left out where it is small. */
export function Picture({ photo, box }: { photo: Signal<Photo>; box?: Box }) {
  const now = photo.value;
  const sources = sourcesFor(now, box, pixelRatio.value);
  const [shown, setShown] = useState(seen.has(sources.src));
  const [failed, setFailed] = useState(NOTHING);
  const broken = failed === BOTH;
  // What failed while Darkroom was away is there again with it.
  useEffect(() => (failed !== NOTHING ? resyncEvents.listen(() => setFailed(NOTHING)) : undefined), [failed]);
  // What stood there before the photo was home must not vanish when its item is forgotten.
  const found = useRef<{ id: string; frame: Frame | null }>({ id: now.id, frame: null });
  if (found.current.id !== now.id) found.current = { id: now.id, frame: null };
  // After a reload, the item is known once the feed is open.
  if (found.current.frame === null && !shown && (isHome(now) || liveItems.value)) {
    const item = itemOfPhoto(now);
    if (item !== undefined) found.current.frame = previewOf(item);
  }
  const preview = found.current.frame;
  const behind = preview?.value ?? (now.thumbhash ? thumbhashUrl(now.thumbhash) : null);
  const home = isHome(now);
  const lost = isLost(now);

  return (
    <span class={`picture ${lost ? "lost" : ""}`}>
      {behind && <img class="behind" src={behind} alt="" />}
      {home && !broken && (
        <img
          class={`front ${shown ? "shown" : ""} ${preview ? "developing" : ""}`}
          sizes={failed ? undefined : sources.sizes}
          srcset={failed ? undefined : sources.srcset}
          src={sources.src}
          alt=""
          decoding="async"
          draggable={false}
          onLoad={() => {
            seen.add(sources.src);
            setShown(true);
          }}
          onError={() => setFailed(failed === NOTHING && sources.srcset !== undefined ? LARGE : BOTH)}
        />
      )}
      {home && broken && <Icon of={ImageOff} />}
      {!home && !lost && (isAway(now.backend_id) ? <Waiting /> : <Ring portion={null} />)}
      {lost && (
        <span class="why" title={lostReason(now)}>
          <Icon of={CircleAlert} />
          <span class="small reason">{lostReason(now)}</span>
        </span>
      )}
    </span>
  );
}

/** It comes once its server is reached again. */
export function Waiting() {
  return (
    <span class="why waits" title="Waiting for the server">
      <Icon of={Unplug} />
      <span class="small reason">Waiting for the server</span>
    </span>
  );
}

/** Asks for a photo again whose retrieval was given up. */
export function RetryRetrieval({ photo, isStop = true }: { photo: Photo; isStop?: boolean }) {
  return (
    <button
      type="button"
      class="button compact retry"
      title="Retry"
      tabIndex={isStop ? 0 : -1}
      onClick={() => void retryRetrieval(photo.id)}
    >
      <Icon of={RotateCcw} />
      <span>Retry</span>
    </button>
  );
}

const KEPT = 2_000;
const decoded = new Map<string, string | null>();

/** A base64 thumbhash as a tiny picture, or null when it cannot be read. */
function thumbhashUrl(hash: string): string | null {
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
