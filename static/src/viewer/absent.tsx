import type { Signal } from "@preact/signals";
import type { Photo } from "../api/types";
import { isHeard } from "../feed/connection";
import { Picture, RetryRetrieval } from "../photo/picture";
import { canRetry, isLost } from "../state/photos";

/** In the viewer, a photo whose file is not home yet, or never came. */
export function Absent({ photo }: { photo: Signal<Photo> }) {
  return (
    <figure class="absent-photo">
      <Frame photo={photo} />
      {isLost(photo.value) && canRetry(photo.value) && <RetryRetrieval photo={photo.value} />}
    </figure>
  );
}

/** In the viewer, a photo whose file could not be loaded: its thumbnail, which the browser may have kept, and why. */
export function Unloaded({ photo }: { photo: Signal<Photo> }) {
  return (
    <figure class="absent-photo" data-testid="unloaded">
      <Frame photo={photo} />
      <figcaption role="status">
        {isHeard.value
          ? "The file cannot be shown. This is its thumbnail."
          : "Darkroom does not answer. This is the thumbnail; the picture comes once it answers again."}
      </figcaption>
    </figure>
  );
}

/** As large as fits, in the picture's own shape. */
function Frame({ photo }: { photo: Signal<Photo> }) {
  const { width, height } = photo.value;
  return (
    <div class="absent-box">
      <div class="absent-picture" style={{ aspectRatio: `${width} / ${height}`, "--shape": width / height }}>
        <Picture photo={photo} />
      </div>
    </div>
  );
}
