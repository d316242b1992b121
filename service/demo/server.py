"""The demo server: its parts wired together behind InvokeAI's REST and socket.io."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import socketio
from aiohttp import web

from service.access.origin import SAFE_METHODS, OwnNames, refusal
from service.config.settings import LOOPBACK_NAMES
from service.demo.answers import Handler, answer_problems, json_answer
from service.demo.images import ImageRoutes, Images
from service.demo.models import DEMO_MODELS
from service.demo.processor import Processor
from service.demo.queue import Queue
from service.demo.queue_routes import QueueRoutes
from service.demo.store import Store

Json = dict[str, Any]

VERSION: Final = "6.14.2"
OWN: Final = OwnNames(frozenset(LOOPBACK_NAMES), any_address=True)
"""Tests start such a server at other addresses; a page of another site has a name, never only an address."""

_log = logging.getLogger("darkroom.demo")
_LARGEST_BODY = 256 * 1024 * 1024


class Event(NamedTuple):
    """One event on its way to the sockets."""

    name: str
    payload: Json


class DemoServer:
    """Speaks as InvokeAI 6.14.2 and draws hills. Runs in the caller's event loop; pictures are drawn in threads.

    `folder` holds everything that outlives `stop`. `step_seconds` is how long one denoising step takes.
    After `start` the parts are there to look at: `queue`, `images`, `models`.
    """

    devices = 1
    """How many items run at a time."""

    def __init__(self, folder: Path, *, step_seconds: float = 0.15) -> None:
        self.folder, self.step_seconds = folder, step_seconds
        self.models: dict[str, Json] = {model["key"]: model for model in DEMO_MODELS}
        self.url, self.host, self.port = "", "", 0
        self._runner: web.AppRunner | None = None
        self._site: web.TCPSite | None = None
        self._workers: list[asyncio.Task[None]] = []

    # -- what a subclass may change

    def now(self) -> datetime:
        return datetime.now(UTC)

    def middlewares(self) -> list[Any]:
        """Around every request, outermost first."""
        return [refuse_elsewhere, answer_problems]

    def make_parts(self) -> None:
        """`queue` and `images` over the store, and the `processor` of both."""
        self.queue = Queue(self.store, self.tell, self.now)
        self.images = Images(self.store, self.folder, self.now)
        self.processor = Processor(self.queue, self.images, self.models, self.tell, step_seconds=self.step_seconds)

    def routes(self) -> list[Any]:
        """REST over each part."""
        return [QueueRoutes(self.queue), ImageRoutes(self.images)]

    def add_routes(self, app: web.Application) -> None:
        """All of REST."""
        app.router.add_get("/api/v1/app/version", self.get_version, allow_head=False)
        app.router.add_get("/openapi.json", self.get_openapi, allow_head=False)
        app.router.add_get("/api/v2/models/", self.get_models, allow_head=False)
        for routes in self.routes():
            routes.add_to(app)

    async def prepare(self, request: web.Request, response: web.StreamResponse) -> None:
        """Each answer's headers."""
        response.headers["X-Darkroom-Demo"] = "1"

    async def deliver(self, event: Event) -> None:
        """Sends one event to every socket; they get those of all queues, subscribed or not (FACTS §2)."""
        await self.sio.emit(event.name, event.payload)

    # -- its life

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """Listens and runs what is pending; the URL, without a trailing slash. OSError if the port is taken."""
        self.store = Store(self.folder / "demo.sqlite")
        self.make_parts()
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
        """Cuts every connection, HTTP and socket, without closing it first."""
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

    def _app(self) -> web.Application:
        app = web.Application(middlewares=self.middlewares(), client_max_size=_LARGEST_BODY)
        app.on_response_prepare.append(self.prepare)
        self.sio = socketio.AsyncServer(
            async_mode="aiohttp", transports=["websocket"], ping_interval=25, ping_timeout=20
        )
        self.sio.attach(app, socketio_path="ws/socket.io")
        self.sio.on("subscribe_queue", _acknowledge)
        self.sio.on("unsubscribe_queue", _acknowledge)
        self.add_routes(app)
        return app

    # -- what it says of itself

    async def tell(self, name: str, payload: Json) -> None:
        await self.deliver(Event(name, {"timestamp": int(self.now().timestamp())} | payload))

    async def get_version(self, request: web.Request) -> web.Response:
        return json_answer({"version": VERSION, "demo": True})

    async def get_openapi(self, request: web.Request) -> web.Response:
        """The routes it has; the schemas are left out."""
        return json_answer({"openapi": "3.1.0", "paths": route_list(request.app)})

    async def get_models(self, request: web.Request) -> web.Response:
        return json_answer({"models": list(self.models.values())})


def route_list(app: web.Application) -> dict[str, Json]:
    """`{path: {method: {}}}` of everything under /api, as `/openapi.json` lists it."""
    paths: defaultdict[str, Json] = defaultdict(dict)
    for route in app.router.routes():
        if route.resource is not None and route.resource.canonical.startswith("/api"):
            paths[route.resource.canonical][route.method.lower()] = {}
    return dict(paths)


@web.middleware
async def refuse_elsewhere(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The demo's pictures are Darkroom's own: no page of another site may ask for them or delete them."""
    is_socket = "upgrade" in request.headers.get("Connection", "").lower()
    reason = refusal(
        ((name.lower(), value) for name, value in request.raw_headers),
        changes=is_socket or request.method not in SAFE_METHODS,
        scheme=request.scheme,
        own=OWN,
    )
    return await handler(request) if reason is None else web.Response(status=403, text=reason)


async def _acknowledge(sid: str, data: Any) -> None:
    """Whether it subscribed makes no difference."""


def _report(worker: asyncio.Task[None]) -> None:
    if not worker.cancelled() and worker.exception() is not None:
        _log.error("the demo's processor ended", exc_info=worker.exception())
