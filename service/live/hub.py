"""Sends feed messages to all browsers: encoded once, with a bounded backlog for each (api.md, The feed)."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Hashable
from typing import Final
from uuid import uuid4

import msgspec
from websockets.frames import Frame as WebSocketFrame
from websockets.frames import Opcode

from service.api.resources import DURABLE, PASSING, Data, Hello, Message
from service.bus.live_state import Item, ItemProgress

BACKLOG: Final = 64
"""Messages that wait for one browser, at most."""
PASSING_INTERVAL: Final = 0.1
"""Seconds between two passing messages of one key."""
VISIT: Final = 30.0
"""Seconds for which a browser that polls counts as open after a request."""
STOPPED_READING: Final = 4408
SESSION_ENDED: Final = 4401
READY_FRAMES: Final = "darkroom.ready_frames"
"""An ASGI extension: its `write(bytes) -> bool` sends a ready websocket frame at once; False if it would have
to wait."""
ENDED: Final = frozenset({"completed", "failed", "canceled", "gone"})


class Frame:
    """A message for all browsers. A key stands once in a backlog; a droppable one may be left out. `text` is for any
    ASGI server, `wire` is the websocket frame for one with READY_FRAMES."""

    __slots__ = ("droppable", "durable", "key", "text", "wire")

    def __init__(self, key: Hashable, json: bytes, *, durable: bool, droppable: bool) -> None:
        self.key = key
        self.durable = durable
        self.droppable = droppable
        self.text = json.decode()
        self.wire = WebSocketFrame(Opcode.TEXT, json).serialize(mask=False)


class Client:
    """One browser's backlog: the hub fills it without waiting, and one writer drains it. Frames leave in the order of
    their publication, so `seq` never falls and is never ahead of a durable message."""

    def __init__(self, seq: int, session: str | None) -> None:
        self.seq = seq
        """The `seq` of durable messages when the hub began to fill the backlog."""
        self.session = session
        self.close_code: int | None = None
        self._backlog: OrderedDict[Hashable, Frame] = OrderedDict()
        self._ready = asyncio.Event()

    def put(self, frame: Frame) -> None:
        backlog = self._backlog
        if not frame.durable:
            backlog.pop(frame.key, None)
        if len(backlog) >= BACKLOG and not self._make_room(frame):
            return
        backlog[frame.key] = frame
        self._ready.set()

    def close(self, code: int) -> None:
        """Drops the backlog; the writer closes the socket with `code`."""
        if self.close_code is None:
            self.close_code = code
            self._backlog.clear()
            self._ready.set()

    def take(self) -> Frame | None:
        """The next message, if one waits."""
        if not self._backlog:
            self._ready.clear()
            return None
        return self._backlog.popitem(last=False)[1]

    async def ready(self) -> None:
        """Waits until there is a message or the client is to be closed; call it after `take` found nothing."""
        if self.close_code is None:
            await self._ready.wait()

    def _make_room(self, frame: Frame) -> bool:
        """Whether `frame` may be added. Progress messages make room for it, and a backlog of durable messages becomes a
        gap."""
        backlog = self._backlog
        oldest = next((waiting.key for waiting in backlog.values() if waiting.droppable), None)
        if oldest is not None:
            del backlog[oldest]
        elif frame.durable:
            # With an empty backlog, the browser sees this message's seq jump, and reads again.
            backlog.clear()
        # States of a backend stay: there is one for each key, so they are few, and nothing would repeat a dropped one.
        return not frame.droppable or oldest is not None


class _Throttle:
    """Holds back the latest value of one key until its interval has passed."""

    __slots__ = ("latest", "timer")

    def __init__(self, timer: asyncio.TimerHandle) -> None:
        self.timer = timer
        self.latest: Data | None = None


class Hub:
    """The source of all feeds. Everything here is synchronous and on one event loop: publishing never waits for a
    browser."""

    def __init__(self, version: str) -> None:
        self.version = version
        self.epoch = uuid4().hex
        self.seq = 0
        self._clients: set[Client] = set()
        self._throttles: dict[tuple[str, Hashable], _Throttle] = {}
        self._visited_at = -VISIT
        self._encoder = msgspec.json.Encoder()

    @property
    def client_count(self) -> int:
        return len(self._clients)

    def visited(self) -> None:
        """Notes that a browser without a feed asked for the snapshot."""
        self._visited_at = time.monotonic()

    @property
    def watched(self) -> bool:
        """Whether a browser is open."""
        return bool(self._clients) or time.monotonic() - self._visited_at < VISIT

    def subscribe(self, session: str | None = None) -> Client:
        """Adds a client that misses nothing from here on. Read the snapshot after this, and `unsubscribe` in
        the end."""
        client = Client(self.seq, session)
        self._clients.add(client)
        return client

    def unsubscribe(self, client: Client) -> None:
        self._clients.discard(client)

    def hello(self, client: Client, hello: Hello) -> Frame:
        """The snapshot as the first message of this client's feed."""
        return Frame("hello", self._encode("hello", client.seq, hello), durable=True, droppable=False)

    def end_session(self, session: str) -> None:
        """Closes every feed that was opened in this web session."""
        for client in self._clients:
            if client.session == session:
                client.close(SESSION_ENDED)

    def publish(self, type: str, data: Data) -> None:
        """Sends a durable message: `seq` rises by one."""
        if type not in DURABLE:
            raise ValueError(f"{type!r} is not a durable message")
        if isinstance(data, Item) and data.status in ENDED:
            self._forget_progress(data)
        self.seq += 1
        if self._clients:
            self._broadcast(Frame(self.seq, self._encode(type, self.seq, data), durable=True, droppable=False))

    def skip(self) -> None:
        """Makes a gap: the next message, passing ones too, has a `seq` that browsers have not heard, so they read
        again."""
        self.seq += 1

    def progress(self, progress: ItemProgress) -> None:
        self.passing("item.progress", (progress.backend_id, progress.item_id), progress)

    def passing(self, type: str, key: Hashable, data: Data) -> None:
        """Sends the last value of a key, at most ten times a second; `seq` does not change."""
        if type not in PASSING:
            raise ValueError(f"{type!r} is not a passing message")
        throttle = self._throttles.get((type, key))
        if throttle is not None:
            throttle.latest = data
        elif self._clients:
            self._send_passing(type, key, data)

    def close(self) -> None:
        """Drops messages that are held back, so that no timer fires after the end."""
        for throttle in self._throttles.values():
            throttle.timer.cancel()
        self._throttles.clear()

    def _release(self, type: str, key: Hashable) -> None:
        throttle = self._throttles.pop((type, key))
        if throttle.latest is not None:
            self._send_passing(type, key, throttle.latest)

    def _send_passing(self, type: str, key: Hashable, data: Data) -> None:
        loop = asyncio.get_running_loop()
        self._throttles[type, key] = _Throttle(loop.call_later(PASSING_INTERVAL, self._release, type, key))
        json = self._encode(type, self.seq, data)
        self._broadcast(Frame((type, key), json, durable=False, droppable=type == "item.progress"))

    def _forget_progress(self, item: Item) -> None:
        """Drops the progress of an ended item, also one that is held back."""
        throttle = self._throttles.pop(("item.progress", (item.backend_id, item.item_id)), None)
        if throttle is not None:
            throttle.timer.cancel()

    def _broadcast(self, frame: Frame) -> None:
        for client in self._clients:
            client.put(frame)

    def _encode(self, type: str, seq: int, data: Data) -> bytes:
        return self._encoder.encode(Message(type, seq, data))
