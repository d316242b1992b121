"""One stream of messages to any number of browsers: encoded once, bounded for each (api.md, The feed)."""

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

from service.live.messages import DURABLE, PASSING, Data, Hello, Item, ItemProgress, Message

BACKLOG: Final = 64
"""Messages that wait for one browser, at most."""
PASSING_INTERVAL: Final = 0.1
"""Seconds between two passing messages of one key."""
VISIT: Final = 30.0
"""Seconds for which a browser without a feed counts as open after it has asked."""
STOPPED_READING: Final = 4408
SESSION_ENDED: Final = 4401
READY_FRAMES: Final = "darkroom.ready_frames"
"""An ASGI extension: its `write(bytes) -> bool` sends a ready frame at once, or says that this would have to wait."""
ENDED: Final = frozenset({"completed", "failed", "canceled", "gone"})


class Frame:
    """A message as it goes to every browser. A key stands once in a backlog; a droppable one may be left out.

    `text` is for any ASGI server, `wire` the websocket frame of it, for one that has READY_FRAMES.
    """

    __slots__ = ("droppable", "durable", "key", "text", "wire")

    def __init__(self, key: Hashable, json: bytes, *, durable: bool, droppable: bool) -> None:
        self.key = key
        self.durable = durable
        self.droppable = droppable
        self.text = json.decode()
        self.wire = WebSocketFrame(Opcode.TEXT, json).serialize(mask=False)


class Client:
    """One browser's backlog: filled by the hub, which never waits for it, and drained by one writer.

    Frames leave in the order of their publication, so `seq` never falls and is never ahead of a durable message.
    """

    def __init__(self, seq: int, session: str | None) -> None:
        self.seq = seq
        """Where durable messages stood when the hub began to fill the backlog."""
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
        """What waits is dropped; the writer closes the socket with `code`."""
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
        """Until a message waits or the client is to be closed; after `take` has found nothing."""
        if self.close_code is None:
            await self._ready.wait()

    def _make_room(self, frame: Frame) -> bool:
        """Whether `frame` may come in: progress gives way to it, and a backlog of durable messages becomes a gap."""
        backlog = self._backlog
        oldest = next((waiting.key for waiting in backlog.values() if waiting.droppable), None)
        if oldest is not None:
            del backlog[oldest]
        elif frame.durable:
            # With everything gone, the browser sees this message's seq jump, and refetches.
            backlog.clear()
        # States of a backend are conflated by key, hence few, and nothing would repeat one that was left out.
        return not frame.droppable or oldest is not None


class _Pace:
    """Holds back the latest value of one key until its interval has passed."""

    __slots__ = ("latest", "timer")

    def __init__(self, timer: asyncio.TimerHandle) -> None:
        self.timer = timer
        self.latest: Data | None = None


class Hub:
    """Everything here is synchronous and of one event loop: publishing never waits, whatever browsers do."""

    def __init__(self, version: str) -> None:
        self.version = version
        self.epoch = uuid4().hex
        self.seq = 0
        self._clients: set[Client] = set()
        self._paces: dict[tuple[str, Hashable], _Pace] = {}
        self._visited_at = -VISIT
        self._encoder = msgspec.json.Encoder()

    @property
    def client_count(self) -> int:
        return len(self._clients)

    def visited(self) -> None:
        """A browser has asked for the snapshot, as those do again and again that have no feed."""
        self._visited_at = time.monotonic()

    @property
    def watched(self) -> bool:
        """Whether a browser is open."""
        return bool(self._clients) or time.monotonic() - self._visited_at < VISIT

    def subscribe(self, session: str | None = None) -> Client:
        """A client that misses nothing from here on; read the snapshot after this, and `unsubscribe` in the end."""
        client = Client(self.seq, session)
        self._clients.add(client)
        return client

    def unsubscribe(self, client: Client) -> None:
        self._clients.discard(client)

    def hello(self, client: Client, hello: Hello) -> Frame:
        """The snapshot as the first message of this client's feed."""
        return Frame("hello", self._encode("hello", client.seq, hello), durable=True, droppable=False)

    def end_session(self, session: str) -> None:
        """Close every feed that was opened in this session."""
        for client in self._clients:
            if client.session == session:
                client.close(SESSION_ENDED)

    def publish(self, type: str, data: Data) -> None:
        """Send a durable message: `seq` rises by one."""
        if type not in DURABLE:
            raise ValueError(f"{type!r} is not a durable message")
        if isinstance(data, Item) and data.status in ENDED:
            self._forget_progress(data)
        self.seq += 1
        if self._clients:
            self._broadcast(Frame(self.seq, self._encode(type, self.seq, data), durable=True, droppable=False))

    def skip(self) -> None:
        """Something cannot be told: the next message, passing ones too, shows a `seq` that browsers have not heard, and
        they refetch."""
        self.seq += 1

    def progress(self, progress: ItemProgress) -> None:
        self.passing("item.progress", (progress.backend_id, progress.item_id), progress)

    def passing(self, type: str, key: Hashable, data: Data) -> None:
        """Send the last value of a key, at most ten times a second; `seq` stays where it is."""
        if type not in PASSING:
            raise ValueError(f"{type!r} is not a passing message")
        pace = self._paces.get((type, key))
        if pace is not None:
            pace.latest = data
        elif self._clients:
            self._send_passing(type, key, data)

    def close(self) -> None:
        """Drop what is held back, so that nothing fires after the end."""
        for pace in self._paces.values():
            pace.timer.cancel()
        self._paces.clear()

    def _release(self, type: str, key: Hashable) -> None:
        pace = self._paces.pop((type, key))
        if pace.latest is not None:
            self._send_passing(type, key, pace.latest)

    def _send_passing(self, type: str, key: Hashable, data: Data) -> None:
        loop = asyncio.get_running_loop()
        self._paces[type, key] = _Pace(loop.call_later(PASSING_INTERVAL, self._release, type, key))
        json = self._encode(type, self.seq, data)
        self._broadcast(Frame((type, key), json, durable=False, droppable=type == "item.progress"))

    def _forget_progress(self, item: Item) -> None:
        """An ended item makes no more progress, also not the value that was held back."""
        pace = self._paces.pop(("item.progress", (item.backend_id, item.item_id)), None)
        if pace is not None:
            pace.timer.cancel()

    def _broadcast(self, frame: Frame) -> None:
        for client in self._clients:
            client.put(frame)

    def _encode(self, type: str, seq: int, data: Data) -> bytes:
        return self._encoder.encode(Message(type, seq, data))
