// The messages of the feed (docs/api.md).

import type { Album, Backend, BulkProgress, Item, Ledger, Photo, Progress, QueueCounts, Session, Step } from "../api/types";

export interface Hello {
  epoch: string;
  version: string;
  backends: Backend[];
  steps: Step[];
  items: Item[];
  ledger: Ledger;
}

export interface ItemProgress extends Progress {
  backend_id: string;
  item_id: number;
  batch_id: string;
  step_id: string | null;
}

interface Payloads {
  hello: Hello;
  "step.updated": Step;
  "item.updated": Item;
  "photo.added": Photo;
  "photo.ready": Photo;
  "photo.failed": Photo;
  "photo.updated": Photo;
  "photo.removed": { id: string };
  "album.updated": Album;
  "album.removed": { id: string };
  "session.updated": Session;
  "session.removed": { id: string };
  "models.updated": { backend_id: string };
  "settings.updated": { names: string[] };
  "item.progress": ItemProgress;
  "backend.status": Backend;
  "queue.status": QueueCounts & { backend_id: string };
  ledger: Ledger;
  "bulk.progress": BulkProgress;
}

/** One message of `WS /api/v1/feed`. */
export type Message = { [T in keyof Payloads]: { type: T; seq: number; data: Payloads[T] } }[keyof Payloads];

/** Also what `GET /api/v1/feed/snapshot` answers. */
export type HelloMessage = Extract<Message, { type: "hello" }>;

/** Messages that repeat the last `seq`; every other type raises it by exactly one. */
const PASSING: ReadonlySet<string> = new Set(["item.progress", "backend.status", "queue.status", "ledger", "bulk.progress"]);

export function isPassing(type: string): boolean {
  return PASSING.has(type);
}
