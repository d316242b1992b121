import { signal } from "@preact/signals";
import { api, signedOut } from "../api/client";
import { isPassing, type Message } from "./messages";

export type Connection = "connecting" | "live" | "reconnecting" | "offline";

/** How the page stands to Darkroom's feed. */
export const connection = signal<Connection>("connecting");

const SILENT_ATTEMPTS = 3;
const LONGEST_WAIT_MS = 15_000;
/** So long after the last of several gaps the feed is opened anew. */
const CALM_MS = 1_000;
const CLOSED_SESSION_ENDED = 4401;

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
let seq: number | undefined;

function address(): string {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  return `${scheme}//${location.host}/api/v1/feed`;
}

/** Opens the feed and keeps it open until `closeFeed`. */
export function openFeed(to: Listener): void {
  listener = to;
  window.addEventListener("online", reconnectNow);
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") reconnectNow();
  });
  open(to);
}

/** Ends the present wait for another try. */
export function reconnectNow(): void {
  if (!listener || socket !== undefined) return;
  clearTimeout(timer);
  attempts = 0;
  open(listener);
}

export function closeFeed(): void {
  listener = undefined;
  clearTimeout(timer);
  socket?.close();
  socket = undefined;
}

function open(to: Listener): void {
  clearTimeout(timer);
  socket?.close();
  const own = new WebSocket(address());
  socket = own;
  own.onmessage = (event: MessageEvent<string>) => {
    if (own === socket) receive(JSON.parse(event.data) as Message, to);
  };
  own.onclose = (event) => {
    if (own !== socket) return;
    socket = undefined;
    if (event.code === CLOSED_SESSION_ENDED) signedOut.value = true;
    else void reconnectLater(to);
  };
}

function receive(message: Message, to: Listener): void {
  if (message.type === "hello") {
    seq = message.seq;
    attempts = 0;
    connection.value = "live";
    to.apply(message);
    // Also the first time: what was read while the feed was opening may lack what happened before it was open.
    to.resync();
    return;
  }
  // A passing message repeats the last durable one's number: if that is not known here, something was missed.
  const gap = message.seq !== (seq ?? 0) + (isPassing(message.type) ? 0 : 1);
  seq = message.seq;
  to.apply(message);
  if (!gap) return;
  to.resync();
  // REST does not tell what runs right now, only `hello` does.
  clearTimeout(timer);
  timer = setTimeout(() => open(to), CALM_MS);
}

async function reconnectLater(to: Listener): Promise<void> {
  attempts += 1;
  connection.value = attempts > SILENT_ATTEMPTS || !navigator.onLine ? "offline" : seq === undefined ? "connecting" : "reconnecting";
  // A browser hides why a websocket was refused; one plain request tells a missing password (which signs out) from silence.
  await api.get("/backends").catch(() => undefined);
  if (listener !== to || socket !== undefined) return;
  const wait = Math.min(LONGEST_WAIT_MS, 500 * 2 ** (attempts - 1)) * (0.75 + Math.random() / 2);
  clearTimeout(timer);
  timer = setTimeout(() => {
    if (socket === undefined) open(to);
  }, wait);
}
