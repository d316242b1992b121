import { useEffect, useState } from "preact/hooks";
import { answerOf, api, reasonOf } from "../api/client";
import type { Status } from "../api/types";
import { bytes, count } from "../app/format";
import { saveSetting } from "../state/settings";

type Kept = Status["large_renditions"];

/** Of a picture of a megapixel, before any of this library is known. */
const USUAL_BYTES = 100_000;

/** What large previews cost on disk: measured, and for those that are still to be made by the size of those there are. */
export function diskUse({ photos, bytes: used, missing }: Kept, kept: boolean): string {
  const rest = missing * (photos > 0 ? used / photos : USUAL_BYTES);
  const measured = photos > 0 ? `They take ${bytes(used)} on disk, for ${count(photos, "photo")}.` : "None is on disk.";
  if (!kept)
    return photos > 0 ? `${measured} They are being removed.` : rest > 0 ? `Kept, they would take about ${bytes(rest)}.` : "";
  return missing > 0
    ? `${measured} ${count(missing, "photo")} ${missing === 1 ? "is" : "are"} still to be done: about ${bytes(rest)} more.`
    : measured;
}

/** Whether large previews are kept, and what they cost. */
export function LargeRenditionsSetting({ value }: { value: boolean }) {
  const [kept, setKept] = useState<Kept | null>(null);
  const [wrong, setWrong] = useState<string | null>(null);
  useEffect(() => {
    const abort = new AbortController();
    answerOf(api.GET("/api/v1/status", { signal: abort.signal })).then(
      (status) => setKept(status.large_renditions),
      () => undefined, // the setting can be changed without it
    );
    return () => abort.abort();
  }, [value]);
  const change = (to: boolean) =>
    void saveSetting("large_renditions", to).then(
      () => setWrong(null),
      (failure) => setWrong(reasonOf(failure)),
    );
  return (
    <div class="setting">
      <div>
        <p>Large previews</p>
        <p class="small muted">
          About 1080 pixels each, for large tiles, the studio and the viewer. If they are not kept, each is made when it is looked
          at.
        </p>
        {kept !== null && (
          <p class="small muted" data-testid="large-renditions">
            {diskUse(kept, value)}
          </p>
        )}
        {wrong !== null && (
          <p class="small bad" role="alert">
            {wrong}
          </p>
        )}
      </div>
      <div class="segments" role="group" aria-label="Large previews">
        <button type="button" aria-pressed={value} onClick={() => change(true)}>
          Keep
        </button>
        <button type="button" aria-pressed={!value} onClick={() => change(false)}>
          Do not keep
        </button>
      </div>
    </div>
  );
}
