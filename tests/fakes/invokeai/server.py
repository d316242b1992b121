"""InvokeAI 6.14.2 as tests meet it: the demo's server, and all of the wire that the demo can do without."""

from __future__ import annotations

from email.utils import format_datetime
from pathlib import Path
from typing import Any

import socketio
from aiohttp import web

from service.demo.answers import Handler, Problem, json_answer
from service.demo.images import Image
from service.demo.models import DEMO_MODELS
from service.demo.queue import Item
from service.demo.server import VERSION, DemoServer, Event
from tests.fakes.invokeai.access import SYSTEM, USER, Access, User
from tests.fakes.invokeai.boards import Boards
from tests.fakes.invokeai.graphs import Prepared
from tests.fakes.invokeai.http import answer_like_invokeai, refuse_polling
from tests.fakes.invokeai.image_routes import FullImageRoutes
from tests.fakes.invokeai.images import FullImages
from tests.fakes.invokeai.nodes import NodeCache
from tests.fakes.invokeai.processor import FullProcessor, Node
from tests.fakes.invokeai.queue import FullQueue
from tests.fakes.invokeai.queue_routes import FullQueueRoutes

Json = dict[str, Any]

_OPEN = ("/api/v1/app/version", "/api/v1/auth/")
"""Routes that ask for no login."""


class Models(dict[str, Json]):
    """The models of one server, by key."""

    def add(self, model: Json) -> None:
        self[model["key"]] = model

    def remove(self, key: str) -> bool:
        """Whether it was there."""
        return self.pop(key, None) is not None

    def select(self, *, bases: Any = (), kind: str | None = None, name: str | None = None) -> list[Json]:
        return [
            model
            for model in self.values()
            if (not bases or model["base"] in bases) and kind in (None, model["type"]) and name in (None, model["name"])
        ]


class FullInvokeAI(DemoServer):
    """Its wire is compared with what was recorded of the real one. After `start`, `sockets` are those connected."""

    queue: FullQueue
    images: FullImages
    models: Models

    def __init__(self, folder: Path, *, step_seconds: float = 0, max_queue_size: int = 10_000) -> None:
        super().__init__(folder, step_seconds=step_seconds)
        self.max_queue_size = max_queue_size
        self.models = Models({model["key"]: model for model in DEMO_MODELS})
        self.access = Access()
        self.sockets: dict[str, User] = {}

    def make_parts(self) -> None:
        self.queue = FullQueue(self.store, self.tell, self.now, self.access)
        self.queue.max_queue_size = self.max_queue_size
        self.images = FullImages(self.store, self.folder, self.now)
        self.boards = Boards(self.store, self.images, self.now)
        self.cache = NodeCache()
        self.processor = FullProcessor(
            self.queue,
            self.images,
            self.models,
            self.tell,
            perform=self.perform,
            before_node=self.before_node,
            step_seconds=self.step_seconds,
        )

    async def before_node(self, item: Item, prepared: Prepared) -> None:
        """Awaited before each node of each item."""

    def middlewares(self) -> list[Any]:
        return [refuse_polling, answer_like_invokeai, self.identify]

    @web.middleware
    async def identify(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        is_open = request.match_info.route.resource is None or not request.path.startswith("/api/")
        USER.set(SYSTEM if is_open or request.path.startswith(_OPEN) else self.access.user(request))
        return await handler(request)

    def add_routes(self, app: web.Application) -> None:
        self.sio.on("connect", self._on_connect)
        self.sio.on("disconnect", self._on_disconnect)
        app.router.add_get("/api/v2/models/i/{key}", self._model, allow_head=False)
        app.router.add_get("/api/v1/auth/status", self._auth_status, allow_head=False)
        app.router.add_post("/api/v1/auth/login", self._login)
        super().add_routes(app)

    def routes(self) -> list[Any]:
        images = FullImageRoutes(self.images, self.cache.forget_image)
        return [FullQueueRoutes(self.queue, self.access), images, self.boards]

    async def prepare(self, request: web.Request, response: web.StreamResponse) -> None:
        response.headers["Server"] = "uvicorn"
        as_text = response.content_type in ("application/json", "text/html")
        response.headers["Vary"] = "Origin, Accept-Encoding" if as_text else "Origin"
        response.headers["Date"] = format_datetime(self.now(), usegmt=True)

    async def perform(self, node: Node) -> Json:
        """What is saved lies on the node's board; a deleted board is passed over (FACTS §4)."""
        result = await self.cache.perform(node)
        board = node.fields.get("board")
        if board and "image" in result and self.boards.exists(board["board_id"]):
            image: Image = self.images.get(result["image"]["image_name"])
            image.board_id = board["board_id"]
            self.images.save(image)
        return result

    async def deliver(self, event: Event) -> None:
        for sid, user in list(self.sockets.items()):
            seen = self.access.event_for(user, event)
            if seen is not None:
                await self.sio.emit(seen.name, seen.payload, to=sid)

    async def stop(self) -> None:
        await super().stop()
        self.sockets.clear()

    async def _on_connect(self, sid: str, environ: Json, auth: Any = None) -> None:
        user = self.access.connect(environ, auth)
        if user is None:
            raise socketio.exceptions.ConnectionRefusedError("Connection rejected by server")
        self.sockets[sid] = user

    async def _on_disconnect(self, sid: str, reason: str = "") -> None:
        self.sockets.pop(sid, None)

    async def _auth_status(self, request: web.Request) -> web.Response:
        return await self.access.status(request)

    async def _login(self, request: web.Request) -> web.Response:
        return await self.access.login(request)

    async def get_version(self, request: web.Request) -> web.Response:
        return json_answer({"version": VERSION})

    async def get_models(self, request: web.Request) -> web.Response:
        query = request.query
        found = self.models.select(
            bases=query.getall("base_models", []), kind=query.get("model_type"), name=query.get("model_name")
        )
        return json_answer({"models": found})

    async def _model(self, request: web.Request) -> web.Response:
        model = self.models.get(request.match_info["key"])
        if model is None:
            raise Problem(404, "model not found")
        return json_answer(model)
