import type { Signal } from "@preact/signals";
import type { Photo } from "../api/types";
import { Picture, RetryRetrieval } from "../library/picture";
import { canRetry, isLost } from "../state/photos";

/** In the viewer, a photo whose file is not home yet, or never came. */
export function Absent({ photo }: { photo: Signal<Photo> }) {
  const { width, height } = photo.value;
  return (
    <div class="absent-picture" style={{ aspectRatio: `${width} / ${height}` }}>
      <Picture photo={photo} />
      {isLost(photo.value) && canRetry(photo.value) && <RetryRetrieval photo={photo.value} />}
    </div>
  );
}
