import { Link } from "wouter-preact";
import { Blank } from "../components/blank";
import { CloudOff, Images, Search, Trash2 } from "../components/icons";
import { olderImages } from "../lib/format";
import { isPhone } from "../lib/responsive";
import { trashRule } from "../photo/trash";
import { backends, backendsKnown } from "../state/backends";
import { isNarrowed, type PhotoFilter } from "../state/photo-filter";
import { isAtRest } from "../state/pods";
import { trashDays } from "../state/settings";
import { pickFiles } from "../upload/pick";
import { AlbumEmpty } from "./album-states";

/** An empty library says what happens next; an empty filter, how to leave it. */
export function Empty({ filter, onShowAll }: { filter: PhotoFilter; onShowAll: () => void }) {
  if (filter.trashed) {
    return (
      <Blank icon={Trash2} title="The trash is empty">
        <p>Photos you trash come here, and can be restored.{trashDays.value !== null && ` ${trashRule(trashDays.value)}`}</p>
      </Blank>
    );
  }
  if (filter.album !== null && !isNarrowed(filter) && filter.q === null) return <AlbumEmpty />;
  if (isNarrowed(filter) || filter.q !== null) {
    return (
      <Blank icon={Search} title="No photos match">
        <p>
          Nothing {filter.album === null ? "in the library" : "in this album"} fits{" "}
          {filter.q === null ? "this choice yet" : `“${filter.q}”`}.
        </p>
        <button type="button" class="button" onClick={onShowAll}>
          Show all photos
        </button>
      </Blank>
    );
  }
  const connected = backends.value.find((backend) => backend.state === "connected");
  const pod = connected ? undefined : backends.value.find((backend) => backend.enabled && isAtRest(backend));
  if (pod) {
    return (
      <Blank icon={Images} title="Your library is ready">
        <p>{`${pod.name} is ${pod.pod?.state}. While it runs, every image finished there appears here by itself.`}</p>
        <Link href="/activity" class="button">
          See the servers
        </Link>
        <DropHint />
      </Blank>
    );
  }
  if (backendsKnown.value && !connected) {
    return (
      <Blank icon={CloudOff} title="Waiting for InvokeAI">
        <p>No server is connected yet. As soon as one is, every image it finishes appears here.</p>
        <Link href="/activity" class="button">
          See the servers
        </Link>
        <DropHint />
      </Blank>
    );
  }
  const older = backends.value.reduce((sum, backend) => sum + backend.older_images, 0);
  const server = connected?.kind === "demo" ? "the demo InvokeAI" : (connected?.name ?? "your InvokeAI");
  return (
    <Blank icon={Images} title="Your library is ready">
      <p>
        Darkroom watches {server}. Every image finished there appears here by itself, whether you make it in the studio or in
        InvokeAI.
      </p>
      {older > 0 && <p data-testid="older-images">{olderImages(older)}.</p>}
      <Link href="/studio" class="button primary">
        Make the first picture
      </Link>
      <DropHint />
    </Blank>
  );
}

/** Pictures can come from elsewhere too. */
function DropHint() {
  return (
    <p class="drop-hint">
      {isPhone.value ? "Pictures of your own: " : "Pictures of your own can be dropped anywhere on this page, pasted, or "}
      <button type="button" class="link" onClick={pickFiles}>
        {isPhone.value ? "choose some" : "chosen here"}
      </button>
      .
    </p>
  );
}

const OF_THE_SEARCH = "q: ";

export function Failed({ reason, onRetry, onShowAll }: { reason: string; onRetry: () => void; onShowAll: () => void }) {
  if (reason.startsWith(OF_THE_SEARCH)) {
    return (
      <Blank icon={Search} title="This cannot be searched for">
        <p>{reason.slice(OF_THE_SEARCH.length)}</p>
        <button type="button" class="button" onClick={onShowAll}>
          Show all photos
        </button>
      </Blank>
    );
  }
  return (
    <Blank icon={CloudOff} title="The library cannot be read">
      <p>{reason}</p>
      <button type="button" class="button" onClick={onRetry}>
        Try again
      </button>
    </Blank>
  );
}

/** All that was here is being changed: the progress stands among the messages. */
export function Changing({ words }: { words: string }) {
  return (
    <section class="blank changing" role="status">
      <p>{words}…</p>
    </section>
  );
}

/** Rows of dim boxes while the first page loads. */
export function Loading() {
  const rows = [
    [3, 2, 3, 4, 2],
    [4, 3, 2, 3],
    [2, 4, 3, 2, 3],
  ];
  return (
    <div class="grid-loading" role="status" aria-label="Loading the library">
      {rows.map((row, index) => (
        <div key={index}>
          {row.map((share, at) => (
            <i key={at} style={{ flexGrow: share }} />
          ))}
        </div>
      ))}
    </div>
  );
}
