"""The feed's websocket, its snapshot for those who poll, and the previews it points to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any, Final, Protocol, runtime_checkable
from uuid import UUID

import structlog
from litestar import Response, WebSocket, get, websocket
from litestar.di import NamedDependency
from litestar.params import FromPath

from service.access.visitor import Visitor
from service.errors import DatabaseAway, NotFound
from service.live.hub import READY_FRAMES, SESSION_ENDED, STOPPED_READING, Client, Frame, Hub
from service.live.messages import Hello, HelloMessage
from service.live.patience import Patience
from service.live.previews import Previews

log = structlog.get_logger()

SEND_TIMEOUT: Final = 10.0
SNAPSHOT_TIMEOUT: Final = 15.0
SNAPSHOTS_AT_ONCE: Final = 4
TRY_AGAIN_LATER: Final = 1013

Socket = WebSocket[Any, Visitor, Any]


class Snapshots:
    """Reads what `hello` tells; a few at a time, so that a crowd coming back leaves connections for others."""

    def __init__(self, read: Callable[[], Awaitable[Hello]]) -> None:
        self._read = read
        self._turns = asyncio.Semaphore(SNAPSHOTS_AT_ONCE)

    async def read(self) -> Hello:
        """TimeoutError when the database does not answer."""
        async with asyncio.timeout(SNAPSHOT_TIMEOUT), self._turns:
            return await self._read()


@runtime_checkable
class SessionEnds(Protocol):
    """Who knows when browser sessions end."""

    async def expires_at(self, session: str) -> datetime | None: ...


@websocket("/api/v1/feed")
async def feed(
    socket: Socket,
    hub: NamedDependency[Hub],
    snapshots: NamedDependency[Snapshots],
    sessions: NamedDependency[SessionEnds | None],
) -> None:
    """`hello`, then everything that happens, until the browser leaves, stops reading, or its session ends."""
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
    """The feed's `hello`, for a browser whose proxy passes no websockets: poll it. Another `seq` or `epoch` than the
    last one: something has changed, refetch by REST."""
    # Read before the snapshot: what changes during the reading shows as another `seq` in the next answer.
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
    """Closes with 4401 when the visitor's session has expired; other requests of the browser may renew it meanwhile."""
    expires_at = visitor.expires_at
    while expires_at is not None:
        await asyncio.sleep(max(0.0, (expires_at - datetime.now(UTC)).total_seconds()))
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
        async with Patience(SEND_TIMEOUT) as patience:
            while frame is not None or client.close_code is None:
                if frame is None:
                    await client.ready()
                elif not write(frame.wire):
                    patience.begin()
                    await socket.send_text(frame.text)
                    patience.end()
                frame = client.take()
        code = client.close_code or SESSION_ENDED
    except TimeoutError:
        code = STOPPED_READING
    except OSError:
        return  # it has gone; the reader sees that too
    with suppress(OSError):
        await socket.close(code)


def _wait(_: bytes) -> bool:
    """Stands in where the server takes no ready frames."""
    return False


async def _drain(socket: Socket) -> None:
    """Read and ignore what the browser says, until it says no more."""
    while True:
        event = await socket.receive()
        if event["type"] == "websocket.disconnect":
            return


@get("/api/v1/previews/{backend_id:uuid}/{item_id:int}", operation_id="get_preview", media_type="image/jpeg")
async def get_preview(
    backend_id: FromPath[UUID], item_id: FromPath[int], previews: NamedDependency[Previews]
) -> Response[bytes]:
    """The newest preview of a running item; `?v=` only makes its address new."""
    preview = previews.get(backend_id, item_id)
    if preview is None:
        raise NotFound("there is no preview of this item")
    headers = {"Cache-Control": "private, max-age=60", "ETag": f'"{preview.version}"'}
    return Response(preview.jpeg, media_type="image/jpeg", headers=headers)


routes = [feed, get_feed_snapshot, get_preview]
