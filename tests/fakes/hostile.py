"""A hostile or hijacked InvokeAI: REST and socket of one server that tells one kind of lie, for ever or so many times.

It sends only as fast as it is read. Each row of `ROWS` is one lie: what its routes answer in place of the truth, and
what it says over every socket that subscribes. `python -m tests.fakes.hostile [--port N] [--times N] [ROW …]` runs one
server for each row, in a process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from aiohttp import web

from tests.fakes.raw_invokeai import SINCE_6_14, ReceivedRequest, json
from tests.fakes.raw_socket import Connection, RawSockets, raw_sockets

MB = 2**20
QUEUE = "/api/v1/queue/default"
COUNTS = ("pending", "in_progress", "waiting", "completed", "failed", "canceled", "total")
OLD_ROUTES = (f"{QUEUE.replace('default', '{queue_id}')}/list",)
OLD_VERSION = "5.15.0"
MODEL = {
    "key": "a-model",
    "hash": "blake3:1",
    "name": "A model",
    "base": "sd-1",
    "type": "main",
    "format": "checkpoint",
}

OF_A_GALLERY = re.compile(r"\d{8}\.png")
"""Images that it has told of are there when they are asked for: else it would count as another server."""
EMPTY: Mapping[str, Any] = {
    f"{QUEUE}/status": {"queue": dict.fromkeys(COUNTS, 0), "processor": {"is_started": True, "is_processing": False}},
    f"{QUEUE}/item_ids": {"item_ids": [], "total_count": 0},
    f"{QUEUE}/items_by_ids": [],
    f"{QUEUE}/item_summaries_by_ids": [],
    f"{QUEUE}/list": {"items": [], "has_more": False, "limit": 500},
    f"{QUEUE}/cancel_by_batch_ids": {"canceled": 0},
    "/api/v1/images/names": {"image_names": [], "starred_count": 0, "total_count": 0},
    "/api/v2/models/": {"models": [MODEL]},
}

Frames = AsyncIterator[str | bytes]
Say = Callable[["HostileInvokeAI"], Frames]
Reply = Callable[["HostileInvokeAI", web.Request], Awaitable[web.StreamResponse]]


class Row(msgspec.Struct, frozen=True):
    """`says` yields the frames of a socket; `answers` are replies by path; `rejects` is said in place of a welcome."""

    says: Say | None = None
    answers: Mapping[str, Reply] = {}
    rejects: int = 0
    """Letters of the words with which the socket is rejected; 0: it is let in."""
    routes: Sequence[str] = SINCE_6_14
    enough: int = 1
    """Frames or answers that would show what it does."""


class HostileInvokeAI:
    """One server. `row` is the lie it tells; None: it is as it should be, and empty."""

    def __init__(self, sockets: RawSockets) -> None:
        self.url = sockets.url
        self._sent = 0
        self.batches: dict[str, str] = {}
        """Batches that were sent here, with the destination they name."""
        self._sockets = sockets
        self._row: Row | None = None
        self._times: int | None = None
        sockets.rest.otherwise = self._reply
        sockets.subscribed = self._say

    def turn_to(self, row: str | None, times: int | None = None) -> None:
        """Tells this lie from now on, so many times over each socket; those who are connected are dropped."""
        self._row, self._times = None if row is None else ROWS[row], times
        self._sent = -self._sockets.rejected
        self._sockets.rejection = "no" * (self._row.rejects // 2) if self._row is not None else ""
        for connection in self._sockets.connections:
            if not connection.ended:
                connection.drop()

    @property
    def sent(self) -> int:
        """Frames, lying answers and rejections of the present row."""
        return self._sent + self._sockets.rejected

    @property
    def connected(self) -> bool:
        """Whether a socket has subscribed and is there."""
        return any(connection.subscribed and not connection.ended for connection in self._sockets.connections)

    async def _say(self, connection: Connection) -> None:
        row, times = self._row, self._times
        if row is None or row.says is None:
            return
        count = 0
        async for frame in row.says(self):
            if connection.ended or self._row is not row or count == times:
                return
            count += 1
            self._sent += 1
            try:
                if isinstance(frame, bytes):
                    await connection.socket.send_bytes(frame)
                else:
                    await connection.frame(frame)
            except ConnectionError:
                return

    async def _reply(self, request: web.Request, received: ReceivedRequest) -> web.StreamResponse | None:
        path = received.path
        lie = self._row.answers.get(path) if self._row is not None else None
        if lie is not None:
            self._sent += 1
            return await lie(self, request)
        if path == "/api/v1/app/version":
            is_old = self._row is not None and self._row.routes is OLD_ROUTES
            return await json({"version": OLD_VERSION if is_old else self._version()})(request)
        if path == "/openapi.json":
            routes = self._row.routes if self._row is not None else SINCE_6_14
            return await json({"paths": {route: {} for route in routes}})(request)
        told = self._told(path, received)
        return None if told is None else await json(told)(request)

    def _version(self) -> str:
        """The routes are asked for once a version."""
        lies = self._row is not None and "/openapi.json" in self._row.answers
        return "6.14.9" if lies else "6.14.2"

    def _told(self, path: str, received: ReceivedRequest) -> Any:
        """What an InvokeAI with an empty gallery and an empty queue says."""
        if path == f"{QUEUE}/enqueue_batch":
            return self._enqueued(received.json()["batch"])
        if path == "/api/v1/images/":
            return page([], 0, received)
        if path == "/api/v1/images/images_by_names":
            return [image(name) for name in received.json()["image_names"] if OF_A_GALLERY.fullmatch(name)]
        if path.startswith(f"{QUEUE}/b/"):
            total = int(path.split("/")[-2] in self.batches)
            return {"origin": None, "destination": None} | dict.fromkeys(COUNTS, 0) | {"total": total}
        return EMPTY.get(path)

    def _enqueued(self, batch: Any) -> Any:
        batch_id = batch.get("batch_id", "theirs")
        self.batches[batch_id] = batch.get("destination") or ""
        count = len(batch["data"][0][0]["items"]) if batch.get("data") else 1
        answer = {"enqueued": count, "requested": count, "batch": {"batch_id": batch_id}}
        return answer | {"item_ids": [*range(1, count + 1)]}


def page(items: list[Any], total: int, received: ReceivedRequest) -> dict[str, Any]:
    query = dict(received.query)
    return {"items": items, "total": total, "limit": int(query.get("limit", 10)), "offset": int(query.get("offset", 0))}


@asynccontextmanager
async def hostile_invokeai(
    row: str | None = None, times: int | None = None, port: int = 0
) -> AsyncIterator[HostileInvokeAI]:
    """One server; well-behaved without a row."""
    async with raw_sockets(port=port) as sockets:
        server = HostileInvokeAI(sockets)
        server.turn_to(row, times)
        yield server


# --- what it says ---


def event(name: str, payload: Any) -> str:
    return "42" + msgspec.json.encode([name, payload]).decode()


def item(item_id: int, **more: Any) -> dict[str, Any]:
    """Somebody else's."""
    ids = {"queue_id": "default", "item_id": item_id, "batch_id": "theirs", "session_id": f"session-{item_id}"}
    return {**ids, "origin": "webui", "destination": "gallery", "user_id": "system", "status": "in_progress", **more}


def each(name: str, payload: Callable[[int], Any]) -> Say:
    """The event again and again, of ever new numbers."""

    async def say(_: HostileInvokeAI) -> Frames:
        for number in itertools.count(1):
            yield event(name, payload(number))

    return say


def frames(*texts: str) -> Say:
    """These frames over and over."""

    async def say(_: HostileInvokeAI) -> Frames:
        for text in itertools.cycle(texts):
            yield text

    return say


async def attachments(_: HostileInvokeAI) -> Frames:
    yield '451000000-["queue_item_status_changed",{"_placeholder":true,"num":0}]'
    while True:
        yield bytes(4 * MB)


async def errors_of_ours(server: HostileInvokeAI) -> Frames:
    """Of every item that was sent here, as soon as there is one."""
    while True:
        for batch_id, destination in list(server.batches.items()):
            ours = {"batch_id": batch_id, "origin": "darkroom", "destination": destination}
            yield event(
                "queue_item_status_changed",
                item(1, status="failed", error_type="E", error_message="x" * 12 * MB, **ours),
            )
        await asyncio.sleep(0.1)


def image(name: str) -> dict[str, Any]:
    made = (datetime.now(UTC) + timedelta(minutes=1)).replace(tzinfo=None).isoformat(" ")
    kind = {"image_category": "general", "image_origin": "internal", "is_intermediate": False}
    return {"image_name": name, "width": 64, "height": 64, "created_at": made, "session_id": None, **kind}


# --- what it answers ---


def told(value: Callable[[], Any]) -> Reply:
    async def reply(_: HostileInvokeAI, request: web.Request) -> web.StreamResponse:
        return await json(value())(request)

    return reply


def body(piece: Callable[[int], bytes], length: int) -> Reply:
    """JSON of that many bytes, written piece by piece: `piece(0)` begins it."""

    async def reply(_: HostileInvokeAI, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        written = 0
        with suppress(ConnectionError):
            for number in itertools.count():
                part = piece(number)
                await response.write(part)
                written += len(part)
                if written >= length:
                    break
        return response

    return reply


async def endless_list(_: HostileInvokeAI, request: web.Request) -> web.StreamResponse:
    first = int(request.query.get("cursor", "0")) + 1
    listed = [{"item_id": first + number, "priority": 0} for number in range(500)]
    return await json({"items": listed, "has_more": True, "limit": 500})(request)


async def repeated_list(_: HostileInvokeAI, request: web.Request) -> web.StreamResponse:
    listed = [{"item_id": number, "priority": 0} for number in range(500)]
    return await json({"items": listed, "has_more": True, "limit": 500})(request)


async def endless_gallery(_: HostileInvokeAI, request: web.Request) -> web.StreamResponse:
    """Ever new images, newer than now, however far one reads."""
    offset, limit = int(request.query["offset"]), int(request.query["limit"])
    listed = [image(f"{offset + number:08d}.png") for number in range(limit)]
    return await json({"items": listed, "total": 2**31 - 1, "limit": limit, "offset": offset})(request)


async def repeated_gallery(_: HostileInvokeAI, request: web.Request) -> web.StreamResponse:
    offset, limit = int(request.query["offset"]), int(request.query["limit"])
    listed = [image(f"{number:08d}.png") for number in range(limit)]
    return await json({"items": listed, "total": 2**31 - 1, "limit": limit, "offset": offset})(request)


def paths(number: int) -> bytes:
    return b'{"paths":{"/api/v1/x":{}' if number == 0 else b"".join(b',"/p%d/%d":{}' % (number, k) for k in range(5000))


VERSION = "/api/v1/app/version"
ROWS: dict[str, Row] = {
    "errors": Row(
        each("queue_item_status_changed", lambda n: item(n, status="failed", error_message="x" * MB)), enough=150
    ),
    "attachments": Row(attachments, enough=3),
    "endless list": Row(answers={f"{QUEUE}/list": endless_list}, routes=OLD_ROUTES, enough=50),
    "repeated list": Row(answers={f"{QUEUE}/list": repeated_list}, routes=OLD_ROUTES, enough=4),
    "claims": Row(
        each(
            "invocation_complete",
            lambda n: item(n, batch_id=f"claimed-{n}", origin="darkroom", destination="step:x", result="x" * 4 * MB),
        ),
        enough=35,
    ),
    "batch ids": Row(each("queue_item_status_changed", lambda n: item(n, batch_id=f"{n}" + "b" * MB)), enough=150),
    "device": Row(
        each("invocation_progress", lambda n: item(n % 500, message="", device=f"{n}" + "d" * 12 * MB)), enough=6
    ),
    "messages": Row(each("invocation_progress", lambda n: item(n % 500, message="\x01" * MB)), enough=8),
    "huge frames": Row(each("invocation_progress", lambda n: item(n, message="", device="d" * 40 * MB))),
    "version": Row(answers={VERSION: told(lambda: {"version": "6.14.2" + "9" * 30 * MB})}),
    "long version": Row(answers={VERSION: told(lambda: {"version": "6.14.2" + "9" * 3 * MB})}),
    "error of ours": Row(errors_of_ours),
    "rejection": Row(rejects=20 * MB),
    "long rejection": Row(rejects=30_000),
    "model": Row(answers={"/api/v2/models/": told(lambda: {"models": [MODEL | {"description": "x" * 30 * MB}]})}),
    "long description": Row(
        answers={"/api/v2/models/": told(lambda: {"models": [MODEL | {"description": "x" * 3 * MB}]})}
    ),
    "openapi": Row(answers={"/openapi.json": body(paths, 60 * MB)}),
    "short openapi": Row(
        answers={"/openapi.json": told(lambda: {"paths": {f"/api/v1/{n}": {} for n in range(200_000)}})}
    ),
    "image names": Row(
        each(
            "invocation_complete",
            lambda n: item(7, result=[{"image_name": f"{n:05d}-{k:04d}-{'i' * 40}.png"} for k in range(2000)]),
        ),
        enough=60,
    ),
    "empty lists": Row(each("invocation_complete", lambda n: item(n, result=[[]] * 4_000_000)), enough=5),
    "ids": Row(
        each("queue_items_canceled", lambda _: {"queue_id": "default", "canceled_item_ids": [7] * 4_000_000}), enough=5
    ),
    "endless gallery": Row(answers={"/api/v1/images/": endless_gallery}, enough=10),
    "repeated gallery": Row(answers={"/api/v1/images/": repeated_gallery}, enough=10),
    "no json": Row(frames("42not json"), enough=3),
    "malformed": Row(
        frames(event("queue_item_status_changed", {"queue_id": "default", "item_id": "seven"})), enough=5000
    ),
}


async def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description="Hostile InvokeAIs on 127.0.0.1, one for each row.")
    parser.add_argument("rows", nargs="*", metavar="ROW", help=", ".join(ROWS))
    parser.add_argument("--port", type=int, default=0, help="of the first; the others follow it")
    parser.add_argument("--times", type=int, default=None, help="frames a socket; for ever without")
    given = parser.parse_args(arguments)
    async with AsyncExitStack() as servers:
        urls = {}
        for number, row in enumerate(given.rows or ROWS):
            port = given.port + number if given.port else 0
            server = await servers.enter_async_context(hostile_invokeai(row, given.times, port))
            urls[row] = server.url
        sys.stdout.write(msgspec.json.encode(urls).decode() + "\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main(sys.argv[1:]))
