"""The demo server: its parts wired together behind InvokeAI's REST and socket.io."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import socketio
from aiohttp import web

from service.demo import clock
from service.demo.access import Access, User
from service.demo.app_routes import AppRoutes
from service.demo.boards import Boards
from service.demo.events import Event, Events
from service.demo.graph import Prepared
from service.demo.http import Handler, answer_like_invokeai
from service.demo.image_routes import ImageRoutes
from service.demo.images import Images
from service.demo.items import Item
from service.demo.models import DEMO_MODELS, Models
from service.demo.processor import Processor
from service.demo.queue import Queue
from service.demo.queue_routes import QueueRoutes
from service.demo.store import Store

Json = dict[str, Any]

_log = logging.getLogger("darkroom.demo")
_LARGEST_BODY = 256 * 1024 * 1024


@dataclass
class Socket:
    """A connected client: who it is, and the queues it subscribed to."""

    user: User
    queues: set[str]


class DemoServer:
    """Speaks as InvokeAI 6.14.2 and draws hills. Runs in the caller's event loop; pictures are drawn in threads.

    `folder` holds everything that outlives `stop`. `step_seconds` is how long one denoising step takes.
    After `start` the parts are there to look at: `queue`, `images`, `models`, `sockets`.
    """

    labelled = True
    devices = 1
    """How many items run at a time."""

    def __init__(self, folder: Path, *, step_seconds: float = 0.15, max_queue_size: int = 10_000) -> None:
        self.folder = folder
        self.step_seconds = step_seconds
        self.max_queue_size = max_queue_size
        self.models = Models(DEMO_MODELS)
        self.access = Access()
        self.sockets: dict[str, Socket] = {}
        self.url = ""
        self.host, self.port = "", 0
        self._runner: web.AppRunner | None = None
        self._site: web.TCPSite | None = None
        self._workers: list[asyncio.Task[None]] = []

    # -- what a subclass may change

    def now(self) -> datetime:
        return clock.now()

    def middlewares(self) -> list[Any]:
        """Around every request, outermost first."""
        return [refuse_polling, answer_like_invokeai]

    def add_routes(self, app: web.Application) -> None:
        """Routes beside the usual ones; the first that matches wins."""

    async def before_node(self, item: Item, prepared: Prepared) -> None:
        """Awaited before each node of each item."""

    async def deliver(self, event: Event) -> None:
        """Sends one event to every socket it is for."""
        for sid, socket in list(self.sockets.items()):
            seen = self.access.event_for(socket.user, event)
            if seen is not None:
                await self.sio.emit(seen.name, seen.payload, to=sid)

    # -- life

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """Listens and runs what is pending; the URL, without a trailing slash. OSError if the port is taken."""
        self._build()
        self._runner = web.AppRunner(self._app(), access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        for _ in range(self.devices):
            worker = asyncio.create_task(self.processor.run(), name="demo processor")
            worker.add_done_callback(_report)
            self._workers.append(worker)
        try:
            await self.listen(host, port)
        except OSError:
            await self.stop()
            raise
        return self.url

    async def listen(self, host: str, port: int) -> None:
        if self._runner is None:
            raise RuntimeError("listening needs a started server")
        self._site = web.TCPSite(self._runner, host, port)
        await self._site.start()
        self.host, self.port = host, self._runner.addresses[0][1]
        self.url = f"http://{self.host}:{self.port}"

    def drop_connections(self) -> None:
        """Cuts every connection, HTTP and socket, without a goodbye."""
        for connection in self._runner.server.connections if self._runner and self._runner.server else ():
            if connection.transport is not None:
                connection.transport.abort()

    async def stop(self) -> None:
        """Ends at once, as InvokeAI does: what runs stays in_progress until the next start (FACTS §6)."""
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        self._workers = []
        if self._runner is not None:
            self.drop_connections()
            await self.sio.shutdown()
            await self._runner.cleanup()
            self._runner = None
            self.store.close()
        self.sockets.clear()

    def _build(self) -> None:
        self.store = Store(self.folder / "demo.sqlite")
        self.events = Events(self.deliver, self.now)
        self.queue = Queue(self.store, self.events, self.now, self.max_queue_size)
        self.images = Images(self.store, self.folder, self.now)
        self.boards = Boards(self.store, self.images, self.access, self.now)
        self.processor = Processor(
            self.queue,
            self.events,
            self.images,
            self.models,
            step_seconds=self.step_seconds,
            before_node=self.before_node,
            has_board=self.boards.exists,
        )

    # -- wiring

    def _app(self) -> web.Application:
        app = web.Application(middlewares=self.middlewares(), client_max_size=_LARGEST_BODY)
        app.on_response_prepare.append(self._on_prepare)
        self.sio = socketio.AsyncServer(
            async_mode="aiohttp", transports=["websocket"], ping_interval=25, ping_timeout=20
        )
        self.sio.attach(app, socketio_path="ws/socket.io")
        self.sio.on("connect", self._on_connect)
        self.sio.on("disconnect", self._on_disconnect)
        self.sio.on("subscribe_queue", self._on_subscribe)
        self.sio.on("unsubscribe_queue", self._on_unsubscribe)
        self.add_routes(app)
        AppRoutes(self.models, self.access, labelled=self.labelled).add_to(app)
        self.access.add_to(app)
        QueueRoutes(self.queue, self.access).add_to(app)
        ImageRoutes(self.images, self.processor.cache, self.access).add_to(app)
        self.boards.add_to(app)
        return app

    async def _on_prepare(self, request: web.Request, response: web.StreamResponse) -> None:
        response.headers["Server"] = "uvicorn"
        as_text = response.content_type in ("application/json", "text/html")
        response.headers["Vary"] = "Origin, Accept-Encoding" if as_text else "Origin"
        response.headers["Date"] = format_datetime(self.now(), usegmt=True)
        if self.labelled:
            response.headers["X-Darkroom-Demo"] = "1"

    async def _on_connect(self, sid: str, environ: Json, auth: Any = None) -> None:
        user = self.access.connect(environ, auth)
        if user is None:
            raise socketio.exceptions.ConnectionRefusedError("Connection rejected by server")
        self.sockets[sid] = Socket(user, set())

    async def _on_disconnect(self, sid: str, reason: str = "") -> None:
        self.sockets.pop(sid, None)

    async def _on_subscribe(self, sid: str, data: Any) -> None:
        if sid in self.sockets and isinstance(data, dict) and isinstance(data.get("queue_id"), str):
            self.sockets[sid].queues.add(data["queue_id"])

    async def _on_unsubscribe(self, sid: str, data: Any) -> None:
        if sid in self.sockets and isinstance(data, dict):
            self.sockets[sid].queues.discard(data.get("queue_id", ""))


@web.middleware
async def refuse_polling(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The polling transport fails as the real one's does (FACTS §1)."""
    if request.path.startswith("/ws/socket.io") and request.query.get("transport") != "websocket":
        return web.Response(status=500, text="Internal Server Error")
    return await handler(request)


def _report(worker: asyncio.Task[None]) -> None:
    if not worker.cancelled() and worker.exception() is not None:
        _log.error("the demo's processor ended", exc_info=worker.exception())
