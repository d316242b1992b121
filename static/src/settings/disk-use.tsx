import { useEffect, useState } from "preact/hooks";
import { answerOf, api } from "../api/client";
import type { Status } from "../api/types";
import { bytes, count } from "../lib/format";

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

/** What large previews cost now, or would cost. */
export function DiskUse({ kept }: { kept: boolean }) {
  const [used, setUsed] = useState<Kept | null>(null);
  useEffect(() => {
    const abort = new AbortController();
    answerOf(api.GET("/api/v1/status", { signal: abort.signal })).then(
      (status) => setUsed(status.large_renditions),
      () => undefined, // the setting can be changed without it
    );
    return () => abort.abort();
  }, [kept]);
  return used && <span data-testid="large-renditions">{diskUse(used, kept)}</span>;
}
