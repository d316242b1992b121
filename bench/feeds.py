"""Four ways to tell many browsers the same: Darkroom's feed, and what it is measured against."""

from __future__ import annotations

import asyncio
import multiprocessing
import resource
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from multiprocessing.connection import Connection as Pipe
from typing import Any
from uuid import UUID

import msgspec
import psutil
import socketio
import uvicorn
import uvloop
from litestar import Litestar, WebSocket, websocket
from litestar.datastructures import State
from litestar.di import Provide
from websockets.asyncio.server import ServerConnection, broadcast, serve

from bench.browsers import stamp
from service.access.guard import AuthMiddleware
from service.access.origin import OwnNames
from service.api.resources import Hello, Message
from service.bus.live_state import BackendLedger, Item, Ledger
from service.config.settings import Settings
from service.live.hub import Hub
from service.live.routes import Snapshots
from service.live.routes import feed as feed_route
from service.operations.metrics import Requests
from service.web.server import listen, server_for

BACKLOG = 64
Publish = Callable[[], Any]


def item() -> Item:
    """A message of 300 bytes or so, with the time it was made."""
    return Item(
        backend_id=UUID(int=1),
        item_id=1,
        batch_id="0198c0de-0000-7000-8000-000000000000",
        step_id=None,
        ordinal=None,
        status="in_progress",
        error=stamp(),
        created_at=None,
        started_at=None,
        completed_at=None,
        progress=None,
        photo_ids=[],
    )


def message() -> str:
    return msgspec.json.encode(Message("item.updated", 1, item())).decode()


# --- the four ---


async def darkroom(port: int) -> Publish:
    """Hub, route, gate and server as the service wires them."""
    hub = Hub("bench")
    none = BackendLedger(expected=0, made=0, retrieved=0, waiting=0, failed=0, gone=0, home=True)

    async def hello() -> Hello:
        ledger = Ledger(total=none, backends={})
        return Hello(epoch=hub.epoch, version="bench", backends=[], steps=[], items=[], ledger=ledger)

    snapshots = Snapshots(hello)
    app = Litestar(
        [feed_route],
        dependencies={"hub": given(hub), "snapshots": given(snapshots), "sessions": given(None)},
        middleware=[Requests(), AuthMiddleware(OwnNames(Settings().host_names))],
        state=State({"sessions": None}),
        openapi_config=None,
        logging_config=None,
    )
    await begin(server_for(app), port)
    return lambda: hub.publish("item.updated", item())


async def bare(port: int) -> Publish:
    """Litestar with the least that is still bounded: a queue and a writer for each browser, encoded once, no more."""
    clients: list[tuple[deque[str], asyncio.Event]] = []

    @websocket("/api/v1/feed")
    async def feed(socket: WebSocket[Any, Any, Any]) -> None:
        await socket.accept()
        client = deque[str](maxlen=BACKLOG), asyncio.Event()
        clients.append(client)
        waiting, ready = client

        async def write() -> None:
            while True:
                while waiting:
                    await socket.send_text(waiting.popleft())
                ready.clear()
                await ready.wait()

        writer = asyncio.create_task(write())
        try:
            while (await socket.receive())["type"] != "websocket.disconnect":
                continue
        finally:
            clients.remove(client)
            writer.cancel()

    app = Litestar([feed], openapi_config=None, logging_config=None)
    await begin(uvicorn.Server(configuration(app)), port)

    def publish() -> None:
        text = message()
        for waiting, ready in clients:
            waiting.append(text)
            ready.set()

    return publish


async def websockets_broadcast(port: int) -> Publish:
    """websockets' own broadcast: no queues, a slow browser's backlog is its transport's."""

    async def handle(socket: ServerConnection) -> None:
        await socket.wait_closed()

    server = await serve(handle, "127.0.0.1", port, compression=None)
    return lambda: broadcast(server.connections, message())


async def python_socketio(port: int) -> Publish:
    """What InvokeAI itself uses."""
    server = socketio.AsyncServer(async_mode="asgi", transports=["websocket"])

    @server.event
    async def connect(sid: str, _environ: dict[str, Any], _auth: Any = None) -> None:
        await server.enter_room(sid, "feed")

    await begin(uvicorn.Server(configuration(socketio.ASGIApp(server))), port)
    return lambda: server.emit("item.updated", msgspec.to_builtins(item()), room="feed")


FEEDS = {each.__name__: each for each in (darkroom, bare, websockets_broadcast, python_socketio)}
SOCKETIO_PATH = "/socket.io/?EIO=4&transport=websocket"


def given(value: Any) -> Provide:
    async def provide() -> Any:
        return value

    return Provide(provide)


def configuration(app: Any) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        http="httptools",
        lifespan="off",
        log_config=None,
        access_log=False,
    )


TASKS: set[asyncio.Task[None]] = set()


async def begin(server: uvicorn.Server, port: int) -> None:
    TASKS.add(asyncio.create_task(server.serve(sockets=[listen("127.0.0.1", port)])))
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)


# --- in a process of its own ---


class Running:
    """A feed at work elsewhere."""

    def __init__(self, url: str, pipe: Pipe, process: psutil.Process) -> None:
        self.url = url
        self._pipe = pipe
        self._process = process

    async def publish(self, count: int, interval: float) -> None:
        """So many messages, one each `interval` seconds; returns when the last is out."""
        self._pipe.send((count, interval))
        await asyncio.to_thread(self._pipe.recv)

    def cpu_seconds(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)


@asynccontextmanager
async def running(kind: str) -> AsyncIterator[Running]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=run, args=(kind, theirs), daemon=True)
    process.start()
    try:
        port = await asyncio.to_thread(ours.recv)
        path = SOCKETIO_PATH if kind == "python_socketio" else "/api/v1/feed"
        yield Running(f"ws://127.0.0.1:{port}{path}", ours, psutil.Process(process.pid))
    finally:
        process.terminate()
        await asyncio.to_thread(process.join)


def run(kind: str, pipe: Pipe) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with suppress(KeyboardInterrupt, EOFError):
        uvloop.run(obey(kind, pipe))


async def obey(kind: str, pipe: Pipe) -> None:
    with listen("127.0.0.1", 0) as probe:
        port: int = probe.getsockname()[1]
    publish = await FEEDS[kind](port)
    pipe.send(port)
    clock = asyncio.get_running_loop().time
    while True:
        count, interval = await asyncio.to_thread(pipe.recv)
        begin_at = clock()
        for number in range(count):
            await asyncio.sleep(max(0.0, begin_at + number * interval - clock()))
            if asyncio.iscoroutine(sending := publish()):
                await sending
        pipe.send(None)
