"""The feed's websocket, its snapshot for clients that poll, and previews."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, Protocol, Self, runtime_checkable
from uuid import UUID

import structlog
from litestar import Response, WebSocket, get, websocket
from litestar.di import NamedDependency
from litestar.params import FromPath

from service.access.visitor import Visitor
from service.api.resources import Hello, HelloMessage
from service.bus.previews import Previews
from service.errors import DatabaseAway, NotFound
from service.live.hub import READY_FRAMES, SESSION_ENDED, STOPPED_READING, Client, Frame, Hub

log = structlog.get_logger()

SEND_TIMEOUT: Final = 10.0
CHECKS: Final = 5
"""How often a send is checked within its time: it may take a fifth longer than allowed."""
EXPIRY_LOOK: Final = 3600.0
"""Seconds between two checks whether a web session has ended."""
SNAPSHOT_TIMEOUT: Final = 15.0
SNAPSHOTS_AT_ONCE: Final = 4
TRY_AGAIN_LATER: Final = 1013

Socket = WebSocket[Any, Visitor, Any]


class Snapshots:
    """Reads snapshots, a few at a time, so that many returning browsers leave connections for others."""

    def __init__(self, read: Callable[[], Awaitable[Hello]]) -> None:
        self._read = read
        self._turns = asyncio.Semaphore(SNAPSHOTS_AT_ONCE)

    async def read(self) -> Hello:
        """Reads a snapshot. Raises TimeoutError if the database does not answer."""
        async with asyncio.timeout(SNAPSHOT_TIMEOUT), self._turns:
            return await self._read()


@runtime_checkable
class SessionEnds(Protocol):
    """Says when web sessions end."""

    async def expires_at(self, session: str) -> datetime | None: ...


@websocket("/api/v1/feed")
async def feed(
    socket: Socket,
    hub: NamedDependency[Hub],
    snapshots: NamedDependency[Snapshots],
    sessions: NamedDependency[SessionEnds | None],
) -> None:
    """Sends `hello`, then all messages, until the browser leaves, stops reading, or its web session ends."""
    await socket.accept()
    with _subscribed(hub, socket.auth) as client:
        async with asyncio.TaskGroup() as tasks:
            working = [tasks.create_task(_write(socket, hub, client, snapshots), name="feed writer")]
            if sessions is not None and socket.auth.expires_at is not None:
                ends = _close_when_it_ends(client, socket.auth, sessions)
                working.append(tasks.create_task(ends, name="feed session"))
            await _drain(socket)
            for task in working:
                task.cancel()


@get("/api/v1/feed/snapshot", operation_id="get_feed_snapshot")
async def get_feed_snapshot(hub: NamedDependency[Hub], snapshots: NamedDependency[Snapshots]) -> HelloMessage:
    """Get the feed's `hello` message, for a client whose proxy passes no websockets. Poll it: another `seq` or `epoch`
    than in the last answer means that something has changed; read again by REST."""
    # Read before the snapshot: a change during the reading shows as another `seq` in the next answer.
    seq = hub.seq
    return HelloMessage(type="hello", seq=seq, data=await snapshots.read())


@contextmanager
def _subscribed(hub: Hub, visitor: Visitor) -> Iterator[Client]:
    client = hub.subscribe(visitor.session)
    try:
        yield client
    finally:
        hub.unsubscribe(client)


async def _close_when_it_ends(client: Client, visitor: Visitor, sessions: SessionEnds) -> None:
    """Closes with 4401 when the visitor's web session has expired. Other requests of the browser may renew it."""
    expires_at = visitor.expires_at
    while expires_at is not None:
        left = (expires_at - datetime.now(UTC)).total_seconds()
        await asyncio.sleep(min(max(0.0, left), EXPIRY_LOOK))  # our clock may be set in between
        try:
            expires_at = await sessions.expires_at(visitor.session) if visitor.session is not None else None
        except DatabaseAway:
            client.close(TRY_AGAIN_LATER)
            return
    client.close(SESSION_ENDED)


async def _write(socket: Socket, hub: Hub, client: Client, snapshots: Snapshots) -> None:
    try:
        frame: Frame | None = hub.hello(client, await snapshots.read())
    except (DatabaseAway, TimeoutError) as error:
        log.warning("no snapshot for the feed", error=repr(error.__cause__ or error))
        await socket.close(TRY_AGAIN_LATER)
        return
    except Exception:
        log.exception("no snapshot for the feed")
        await socket.close(TRY_AGAIN_LATER)
        return
    ready_frames: dict[Any, Any] = (socket.scope["extensions"] or {}).get(READY_FRAMES, {})
    write: Callable[[bytes], bool] = ready_frames.get("write", _wait)
    try:
        async with SendTimeout(SEND_TIMEOUT) as timeout:
            while frame is not None or client.close_code is None:
                if frame is None:
                    await client.ready()
                elif not write(frame.wire):
                    timeout.begin()
                    await socket.send_text(frame.text)
                    timeout.end()
                frame = client.take()
        code = client.close_code or SESSION_ENDED
    except TimeoutError:
        code = STOPPED_READING
    except OSError:
        return  # the client has gone; the reader sees that too
    with suppress(OSError):
        await socket.close(code)


class SendTimeout:
    """A timeout around many sends that costs no timer for each. Its body raises TimeoutError when one send, marked by
    `begin` and `end`, takes longer than `seconds`."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._timeout = asyncio.timeout(None)
        self._since: float | None = None
        self._timer: asyncio.TimerHandle

    def begin(self) -> None:
        self._since = self._loop.time()

    def end(self) -> None:
        self._since = None

    async def __aenter__(self) -> Self:
        await self._timeout.__aenter__()
        self._check()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        await self._timeout.__aexit__(kind, error, trace)

    def _check(self) -> None:
        now = self._loop.time()
        if self._since is not None and now - self._since >= self._seconds:
            self._timeout.reschedule(now)
        else:
            self._timer = self._loop.call_later(self._seconds / CHECKS, self._check)


def _wait(_: bytes) -> bool:
    """Used if the server takes no ready frames."""
    return False


async def _drain(socket: Socket) -> None:
    """Reads and ignores messages of the browser until it closes."""
    while True:
        event = await socket.receive()
        if event["type"] == "websocket.disconnect":
            return


@get("/api/v1/previews/{backend_id:uuid}/{item_id:int}", operation_id="get_preview", media_type="image/jpeg")
async def get_preview(
    backend_id: FromPath[UUID], item_id: FromPath[int], previews: NamedDependency[Previews]
) -> Response[bytes]:
    """Get the newest preview of a running item. `?v=` only makes the address new."""
    preview = previews.get(backend_id, item_id)
    if preview is None:
        raise NotFound("there is no preview of this item")
    headers = {"Cache-Control": "private, max-age=60", "ETag": f'"{preview.version}"'}
    return Response(preview.jpeg, media_type="image/jpeg", headers=headers)


routes = [feed, get_feed_snapshot, get_preview]
