// What the page does with the messages of the feed.

import type { Photo } from "../api/types";
import type { Hello, Message } from "../feed/messages";
import { dropAlbum, putAlbum, readAgainAlbums } from "./albums";
import { putBackend, putBackends, putLedger, putQueue, version } from "./backends";
import { forgetBulkProgress, putBulkProgress } from "./bulk-progress";
import { albumEvents, photoEvents, resyncEvents } from "./feed-events";
import { tell } from "./freshness";
import { putItem, putProgress, replaceItems } from "./items";
import { loadCatalogueAgain, loadModels, models, modelsError } from "./models";
import { forgetPhoto, putPhoto } from "./photos";
import { dropSession, loadSessions, putSession, sessions, sessionsError } from "./sessions";
import { loadSettingsAgain } from "./settings";
import { addAlternative, putStep, putStepItem } from "./steps";

/** Puts one feed message where the page keeps such things. */
export function dispatch(message: Message): void {
  switch (message.type) {
    case "hello":
      return applyHello(message.data);
    case "photo.added":
    case "photo.ready":
    case "photo.failed":
    case "photo.updated":
      return applyPhoto(message.data);
    case "photo.removed":
      tell(message.data.id);
      forgetPhoto(message.data.id);
      return photoEvents.emit({ id: message.data.id, byHand: false });
    case "step.updated":
      tell(message.data.id);
      return void putStep(message.data);
    case "item.updated":
      if (message.data.step_id !== null) tell(message.data.step_id);
      putItem(message.data);
      return putStepItem(message.data);
    case "item.progress":
      return putProgress(message.data);
    case "album.updated":
      tell(message.data.id);
      putAlbum(message.data);
      return albumEvents.emit(message.data.id);
    case "album.removed":
      tell(message.data.id);
      dropAlbum(message.data.id);
      return albumEvents.emit(message.data.id);
    case "session.updated":
      return putSession(message.data);
    case "session.removed":
      return dropSession(message.data.id);
    case "models.updated":
      loadCatalogueAgain();
      return void loadModels();
    case "settings.updated":
      return loadSettingsAgain();
    case "backend.status":
      return putBackend(message.data);
    case "queue.status":
      return putQueue(message.data);
    case "ledger":
      return putLedger(message.data);
    case "bulk.progress":
      return putBulkProgress(message.data);
  }
}

const REST_MS = 1_000;
let resting = false;
let wanted = false;

/** What the page shows may be stale: read it again, at once, and then at most once a second. */
export function resync(): void {
  if (resting) {
    wanted = true;
    return;
  }
  resting = true;
  setTimeout(() => {
    resting = false;
    if (!wanted) return;
    wanted = false;
    resync();
  }, REST_MS);
  readAgain();
}

/** Reads all that was asked for before, also what was refused. */
function readAgain(): void {
  if (sessions.peek() !== null || sessionsError.peek() !== null) void loadSessions();
  readAgainAlbums();
  if (models.peek() !== null || modelsError.peek() !== null) void loadModels();
  loadCatalogueAgain();
  loadSettingsAgain();
  resyncEvents.emit();
}

function applyHello(hello: Hello): void {
  version.value = hello.version;
  putBackends(hello.backends);
  putLedger(hello.ledger);
  forgetBulkProgress();
  for (const step of hello.steps) {
    tell(step.id);
    putStep(step);
  }
  replaceItems(hello.items);
}

function applyPhoto(photo: Photo): void {
  tell(photo.id);
  if (photo.step_id !== null) tell(photo.step_id);
  putPhoto(photo);
  addAlternative(photo);
  photoEvents.emit({ id: photo.id, byHand: false });
}
