// The connection to Darkroom's feed: a websocket, and polling while none is open.

import { computed, signal } from "@preact/signals";
import { signedOut, watchReadings } from "../api/client";
import { below } from "../lib/base";
import { FirstReadings } from "./first-readings";
import { type HelloMessage, isPassing, type Message } from "./messages";
import { Polling } from "./polling";

export type Connection = "connecting" | "live" | "polling" | "reconnecting" | "offline";

/** How the page stands to Darkroom's feed. */
export const connection = signal<Connection>("connecting");

/** The page knows what happens: at once, or a few seconds later. */
export const isHeard = computed(() => connection.value === "live" || connection.value === "polling");

const SILENT_ATTEMPTS = 3;
/** So many websockets in a row that did not open, while HTTP was answered, were not passed on. */
const REFUSALS = 2;
const LONGEST_WAIT_MS = 15_000;
const LONGEST_WAIT_POLLING_MS = 60_000;
/** A websocket that has not opened for so long has polling beside it. */
const SLOW_MS = 5_000;
/** And is given up after so long: longer than Darkroom takes to say that it cannot read a snapshot. */
const HELLO_MS = 20_000;
/** So long after the last of several gaps the feed is opened anew. */
const CALM_MS = 1_000;
const CLOSED_SESSION_ENDED = 4401;
const CLOSED_TRY_AGAIN_LATER = 1013;

interface Listener {
  /** Gets each message, in order. */
  apply: (message: Message) => void;
  /** What the page knows may be stale: the feed has opened only now, or left something out. */
  resync: () => void;
}

let listener: Listener | undefined;
let socket: WebSocket | undefined;
let attempts = 0;
let timer: ReturnType<typeof setTimeout> | undefined;
let opening: ReturnType<typeof setTimeout>[] = [];
let epoch: string | undefined;
let seq: number | undefined;
/** Until the page has read once all that it missed. */
let firstReadings: FirstReadings | null = new FirstReadings();

const polling = new Polling({ answered, unanswered });
/** Polls in a row that brought no answer; null before the first poll. */
let silences: number | null = null;
let refusals = 0;
/** A websocket did not open since the last poll. */
let refusedSince = false;
let isSlow = false;

function address(): string {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  return `${scheme}//${location.host}${below("/api/v1/feed")}`;
}

/** Opens the feed and keeps it open until `closeFeed`; then it can be opened again. */
export function openFeed(to: Listener): void {
  listener = to;
  watchReadings((position) => {
    if (firstReadings?.read(position)) readAgain(to);
  });
  // The same listeners again are not added twice.
  window.addEventListener("online", reconnectNow);
  document.addEventListener("visibilitychange", reconnectWhenSeen);
  connection.value = "connecting";
  open(to);
}

function reconnectWhenSeen(): void {
  if (document.visibilityState === "visible") reconnectNow();
}

/** Ends the present wait for another try. */
export function reconnectNow(): void {
  if (!listener) return;
  polling.now();
  if (socket !== undefined) return;
  attempts = 0;
  open(listener);
}

export function closeFeed(): void {
  listener = undefined;
  clearTimeout(timer);
  polling.stop();
  stopWaitingForHello();
  socket?.close();
  socket = undefined;
}

function open(to: Listener): void {
  clearTimeout(timer);
  stopWaitingForHello();
  socket?.close();
  const own = new WebSocket(address());
  let greeted = false;
  socket = own;
  own.onmessage = (event: MessageEvent<string>) => {
    if (own !== socket) return;
    greeted = true;
    receive(JSON.parse(event.data) as Message, to);
  };
  own.onclose = (event) => {
    if (own !== socket) return;
    socket = undefined;
    stopWaitingForHello();
    if (event.code === CLOSED_SESSION_ENDED) signedOut.value = true;
    else failed(to, !greeted && event.code !== CLOSED_TRY_AGAIN_LATER);
  };
  opening = [
    setTimeout(() => {
      isSlow = true;
      polling.start();
      judge();
    }, SLOW_MS),
    setTimeout(() => own.close(), HELLO_MS),
  ];
}

function stopWaitingForHello(): void {
  for (const one of opening) clearTimeout(one);
}

function receive(message: Message, to: Listener): void {
  if (message.type === "hello") {
    stopWaitingForHello();
    polling.stop();
    const isStale = seq !== undefined || firstReadings === null || firstReadings.opened(message.data.epoch, message.seq);
    seq = message.seq;
    epoch = message.data.epoch;
    attempts = refusals = 0;
    silences = null;
    refusedSince = isSlow = false;
    connection.value = "live";
    to.apply(message);
    if (isStale) readAgain(to);
    return;
  }
  // A passing message repeats the last durable one's number: if that is not known here, something was missed.
  const gap = message.seq !== (seq ?? 0) + (isPassing(message.type) ? 0 : 1);
  seq = message.seq;
  to.apply(message);
  if (!gap) return;
  readAgain(to);
  // REST does not tell what runs right now, only `hello` does.
  clearTimeout(timer);
  timer = setTimeout(() => open(to), CALM_MS);
}

function readAgain(to: Listener): void {
  firstReadings = null;
  to.resync();
}

/** A browser hides why a websocket did not open. A poll tells silence, and a missing password, from a proxy. */
function failed(to: Listener, refused: boolean): void {
  attempts += 1;
  refusedSince ||= refused;
  // What the page says of a slow websocket stays said while the next one is tried.
  if (isSlow && refused) refusals = Math.max(refusals, REFUSALS);
  isSlow = false;
  judge();
  polling.start();
  polling.now();
  const longest = connection.value === "polling" ? LONGEST_WAIT_POLLING_MS : LONGEST_WAIT_MS;
  const wait = Math.min(longest, 500 * 2 ** (attempts - 1)) * (0.75 + Math.random() / 2);
  clearTimeout(timer);
  timer = setTimeout(() => {
    if (socket === undefined) open(to);
  }, wait);
}

function answered(message: HelloMessage): void {
  if (!listener) return;
  const wasSilent = silences !== null && silences > 0;
  const isFirst = seq === undefined && firstReadings !== null;
  const moved = isFirst
    ? firstReadings!.opened(message.data.epoch, message.seq)
    : message.seq !== seq || message.data.epoch !== epoch;
  silences = 0;
  seq = message.seq;
  epoch = message.data.epoch;
  if (refusedSince) refusals += 1;
  refusedSince = false;
  judge();
  listener.apply(message);
  if (moved || wasSilent) readAgain(listener);
  // Darkroom was away, and with it the websocket: that may open now.
  if (wasSilent) reconnectNow();
}

function unanswered(times: number): void {
  silences = times;
  refusedSince = false;
  judge();
}

/** While the feed is not live. */
function judge(): void {
  if (silences !== null && silences > 0 && (silences > SILENT_ATTEMPTS || !navigator.onLine)) connection.value = "offline";
  else if (silences === 0 && (refusals >= REFUSALS || isSlow)) connection.value = "polling";
  else connection.value = connection.peek() === "connecting" ? "connecting" : "reconnecting";
}
