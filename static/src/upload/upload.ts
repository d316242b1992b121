// One file of the queue.

import { type Signal, signal } from "@preact/signals";
import type { Photo } from "../api/types";
import type { Transfer } from "./transfer";

export type Status =
  /** `words`: why it waits, where it was tried before. */
  | { at: "waiting"; words: string | null }
  | { at: "sending" }
  /** All of it was sent: Darkroom looks at the picture. */
  | { at: "checking" }
  | { at: "here"; photo: Photo; duplicate: boolean }
  /** It would be refused again. */
  | { at: "refused"; words: string }
  /** Given up; it can be tried again. */
  | { at: "failed"; words: string }
  | { at: "canceled" };

/** Nothing more becomes of it by itself. */
export function hasEnded({ at }: Status): boolean {
  return at !== "waiting" && at !== "sending" && at !== "checking";
}

/** Where uploaded photos go besides the library: an album. */
export interface Destination {
  name: string;
  add: (photo: Photo) => Promise<void>;
}

/** One file of the queue. */
export class Upload {
  readonly status: Signal<Status> = signal({ at: "waiting", words: null });
  /** Bytes that have gone out, as shown. */
  readonly shown = signal(0);
  /** Bytes that have gone out. */
  sent = 0;
  attempts = 0;
  /** Not to be tried before that time. */
  notBefore = 0;
  /** It was sent whole once, and what became of it is not known. */
  isUncertain = false;
  transfer: Transfer | null = null;

  constructor(
    readonly id: number,
    readonly file: File,
    readonly destination: Destination | null,
  ) {}

  get hasEnded(): boolean {
    return hasEnded(this.status.peek());
  }
}
