// Uploading a file that becomes a draft's source.

import { type ReadonlySignal, type Signal, signal } from "@preact/signals";
import { moment } from "../state/freshness";
import { putPhoto } from "../state/photos";
import { type Hold, UploadQueue } from "../upload/queue";
import type { Upload } from "../upload/upload";
import { uploadContext } from "../upload/uploads";
import type { Draft } from "./draft";
import { takeSource } from "./kept-drafts";

/** What shall be a draft's source and is not here yet; or in words why it cannot be one. */
export type Arrival = { upload: Upload; hold: ReadonlySignal<Hold | null>; words: null } | { upload: null; words: string };

interface Place {
  arrival: Signal<Arrival | null>;
  /** One of its own: what it sends is shown where the source stands, and not in the list of uploads. */
  queue: UploadQueue;
}

const places = new WeakMap<Signal<Draft>, Place>();

function placeOf(draft: Signal<Draft>): Place {
  let place = places.get(draft);
  if (!place) {
    const queue = new UploadQueue(uploadContext);
    addEventListener("beforeunload", (event) => {
      if (queue.unfinished > 0) event.preventDefault();
    });
    place = { arrival: signal(null), queue };
    places.set(draft, place);
  }
  return place;
}

/** Of a draft; null where nothing is on its way. */
export function arrivalOf(draft: Signal<Draft>): ReadonlySignal<Arrival | null> {
  return placeOf(draft).arrival;
}

/** Uploads a file. It becomes the source once it is here, unless something else was wanted meanwhile. */
export function uploadSource(draft: Signal<Draft>, file: File): void {
  dismissArrival(draft);
  const { arrival, queue } = placeOf(draft);
  const asked = moment();
  let own: Arrival | null = null;
  queue.add([file], {
    name: "the source",
    add: async (photo) => {
      putPhoto(photo, asked);
      if (arrival.peek() !== own) return;
      arrival.value = null;
      takeSource(draft, photo);
    },
  });
  own = { upload: queue.uploads.peek()[0]!, hold: queue.hold, words: null };
  arrival.value = own;
}

/** Says why what was brought cannot be the source. */
export function refuseSource(draft: Signal<Draft>, words: string): void {
  dismissArrival(draft);
  placeOf(draft).arrival.value = { upload: null, words };
}

export function retryArrival(draft: Signal<Draft>): void {
  placeOf(draft).queue.retryAll();
}

/** What is on its way is not wanted any more; the source that stood there before stands there again. */
export function dismissArrival(draft: Signal<Draft>): void {
  const { arrival, queue } = placeOf(draft);
  arrival.value = null;
  queue.cancelAll();
  queue.clear(true);
}
