// The uploads of this page.

import { computed, signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { signedOut } from "../api/client";
import { connection } from "../feed/connection";
import { count, number } from "../lib/format";
import { toast, toastFailure } from "../lib/toasts";
import { filesIn } from "./entries";
import { MOST_FILES, type UploadContext, UploadQueue } from "./queue";
import { send } from "./transfer";
import type { Destination } from "./upload";

const isOnline = signal(navigator.onLine);
addEventListener("online", () => (isOnline.value = true));
addEventListener("offline", () => (isOnline.value = false));

/** What a queue of this page goes by. */
export const uploadContext: UploadContext = {
  send,
  isReachable: computed(() => connection.value !== "offline" && connection.value !== "reconnecting"),
  isOnline,
  isSignedOut: signedOut,
  onSignedOut: () => (signedOut.value = true),
  onHere: ({ destination }, photo) => {
    destination?.add(photo).catch((failure: unknown) => toastFailure(`Uploaded, but not added to “${destination.name}”.`, failure));
  },
  frame: (draw) => requestAnimationFrame(draw),
  now: () => performance.now(),
};

/** What is being uploaded from this page; pages change, and it goes on. */
export const queue = new UploadQueue(uploadContext);

/** Files that did not become photos. */
export const outside = computed(() => queue.sums.value.refused + queue.sums.value.failed + queue.sums.value.canceled);

/** The queue is shown whole, and not as a pill. */
export const isOpen = signal(false);

/** Where what is dropped, pasted or picked now goes besides the library. */
export const destination = signal<Destination | null>(null);

/** While the component stands, uploads go there too; those that were begun still do when it has gone. */
export function useUploadDestination(to: Destination | null): void {
  useEffect(() => {
    destination.value = to;
    return () => {
      if (destination.peek() === to) destination.value = null;
    };
  }, [to]);
}

addEventListener("beforeunload", (event) => {
  if (queue.unfinished > 0) event.preventDefault();
});

/** Uploads these files. */
export function upload(files: readonly File[]): void {
  if (files.length === 0) return;
  begin();
  take(files, destination.peek());
}

/** What was dropped: files, and all that is in folders. */
export async function uploadDropped(dropped: readonly (FileSystemEntry | File)[]): Promise<void> {
  const to = destination.peek();
  const unreadable: string[] = [];
  let found = false;
  for await (const files of filesIn(dropped, (name) => unreadable.push(name))) {
    if (!found) begin();
    found = true;
    if (!take(files, to)) break;
  }
  const [first] = unreadable;
  if (first !== undefined) {
    const what = unreadable.length === 1 ? `“${first}”` : count(unreadable.length, "file");
    toast(`${what} could not be read.`, { tone: "bad" });
  } else if (!found) toast("Nothing to upload: the folder has no files.");
}

/** What was uploaded before is done with. */
function begin(): void {
  if (queue.unfinished > 0) return;
  queue.clear();
  // A sheet over a phone's page opens when it is asked for.
  isOpen.value = true;
}

/** False once the queue is full. */
function take(files: readonly File[], to: Destination | null): boolean {
  const taken = queue.add(files, to);
  if (taken === files.length) return true;
  toast(`The queue holds ${number(MOST_FILES)} files. What is beyond that was left out.`, { tone: "bad" });
  return false;
}
