import { Link } from "wouter-preact";
import { olderImages } from "../app/format";
import { Blank } from "../shell/blank";
import { CloudOff, Images, Search, Trash2 } from "../shell/icons";
import { backends, backendsKnown } from "../state/backends";
import type { PhotoFilter } from "../state/photo-list";
import { trashDays } from "../state/settings";
import { trashRule } from "../viewer/trash-words";

/** An empty library says what happens next; an empty filter, how to leave it. */
export function Empty({ filter, onShowAll }: { filter: PhotoFilter; onShowAll: () => void }) {
  if (filter.trashed) {
    return (
      <Blank icon={Trash2} title="The trash is empty">
        <p>Photos you trash come here, and can be restored.{trashDays.value !== null && ` ${trashRule(trashDays.value)}`}</p>
      </Blank>
    );
  }
  if (filter.source !== null || filter.session !== null || filter.favorite || filter.madeWith !== null || filter.q !== null) {
    return (
      <Blank icon={Search} title="No photos match">
        <p>Nothing in the library fits {filter.q === null ? "this choice yet" : `“${filter.q}”`}.</p>
        <button type="button" class="button" onClick={onShowAll}>
          Show all photos
        </button>
      </Blank>
    );
  }
  const connected = backends.value.find((backend) => backend.state === "connected");
  if (backendsKnown.value && !connected) {
    return (
      <Blank icon={CloudOff} title="Waiting for InvokeAI">
        <p>No server is connected yet. As soon as one is, every image it finishes appears here.</p>
        <Link href="/activity" class="button">
          See the servers
        </Link>
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
    </Blank>
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
