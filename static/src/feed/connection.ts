import { signal } from "@preact/signals";
import { api, ApiError, signedOut } from "../api/client";
import { isPassing, type Message } from "./messages";

export type Connection = "connecting" | "live" | "reconnecting" | "offline";

/** How the page stands to Darkroom's feed. */
export const connection = signal<Connection>("connecting");

/** Called when what the page knows may be stale: a gap, another epoch, or a reconnect. */
type Resync = () => void;

const SILENT_ATTEMPTS = 3;
const LONGEST_WAIT_MS = 15_000;
const CLOSED_SESSION_ENDED = 4401;

let socket: WebSocket | undefined;
let attempts = 0;
let timer: ReturnType<typeof setTimeout> | undefined;
let seq: number | undefined;
let stopped = true;

function address(): string {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  return `${scheme}//${location.host}/api/v1/feed`;
}

/** Opens the feed and keeps it open until `closeFeed`; `apply` gets each message in order. */
export function openFeed(apply: (message: Message) => void, resync: Resync): void {
  closeFeed();
  stopped = false;
  const reconnectNow = () => {
    if (connection.value === "live" || stopped) return;
    clearTimeout(timer);
    attempts = 0;
    if (socket === undefined) open(apply, resync);
  };
  window.addEventListener("online", reconnectNow);
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") reconnectNow();
  });
  open(apply, resync);
}

export function closeFeed(): void {
  stopped = true;
  clearTimeout(timer);
  socket?.close();
  socket = undefined;
}

function open(apply: (message: Message) => void, resync: Resync): void {
  const own = new WebSocket(address());
  socket = own;
  own.onmessage = (event: MessageEvent<string>) => {
    if (own !== socket) return;
    receive(JSON.parse(event.data) as Message, apply, resync);
  };
  own.onclose = (event) => {
    if (own !== socket) return;
    socket = undefined;
    if (event.code === CLOSED_SESSION_ENDED) signedOut.value = true;
    else if (!stopped) void reconnectLater(apply, resync);
  };
}

function receive(message: Message, apply: (message: Message) => void, resync: Resync): void {
  if (message.type === "hello") {
    const first = seq === undefined;
    seq = message.seq;
    attempts = 0;
    connection.value = "live";
    apply(message);
    if (!first) resync();
    return;
  }
  const gap = !isPassing(message.type) && message.seq !== (seq ?? 0) + 1;
  seq = message.seq;
  apply(message);
  if (gap) resync();
}

async function reconnectLater(apply: (message: Message) => void, resync: Resync): Promise<void> {
  attempts += 1;
  connection.value = attempts > SILENT_ATTEMPTS || !navigator.onLine ? "offline" : seq === undefined ? "connecting" : "reconnecting";
  // A browser hides why a websocket was refused; one plain request tells a missing password from silence.
  await api.get("/backends").catch((failure: unknown) => {
    if (failure instanceof ApiError && failure.status === 401) closeFeed();
  });
  if (stopped) return;
  const wait = Math.min(LONGEST_WAIT_MS, 500 * 2 ** (attempts - 1)) * (0.75 + Math.random() / 2);
  timer = setTimeout(() => open(apply, resync), wait);
}
