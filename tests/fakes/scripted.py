"""The scripted InvokeAI: small, immediate pictures, and troubles that a test decides."""

from __future__ import annotations

import asyncio
import re
import shutil
import weakref
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from aiohttp import web

from service.demo.answers import Handler, Problem, json_answer, stamp
from service.demo.queue import Item
from service.demo.server import Event
from service.invokeai.events import image_names
from tests.fakes import answers
from tests.fakes.invokeai.access import USER, User
from tests.fakes.invokeai.graphs import Prepared
from tests.fakes.invokeai.http import answer_like_invokeai, query_int, read_field, refuse_polling
from tests.fakes.invokeai.images import Image
from tests.fakes.invokeai.pictures import read_texts
from tests.fakes.invokeai.server import FullInvokeAI
from tests.fakes.multiuser import MultiUser
from tests.fakes.rules import Answer, EventRule, RouteRule, Where
from tests.fakes.versions import VERSIONS, Version

Json = dict[str, Any]

_PATIENCE = 10


@dataclass(eq=False)
class Hold:
    """Items are kept before a node until `release`. `reached` tells which item came there first."""

    node: str
    item_id: int | None
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    arrived: asyncio.Queue[Item] = field(default_factory=lambda: asyncio.Queue(1000))

    async def reached(self, seconds: float = _PATIENCE) -> Item:
        async with asyncio.timeout(seconds):
            return await self.arrived.get()

    def release(self) -> None:
        self.gate.set()


class ScriptedInvokeAI(FullInvokeAI):
    """InvokeAI for tests. `produced` is every event it had to tell, sent or not; `requests` every request it got.

    `version` emulates an older server (FACTS §11) or "7" (FACTS §12); `multiuser` asks for accounts (FACTS §9).
    """

    def __init__(
        self,
        folder: Path,
        *,
        version: str = "6.14.2",
        multiuser: MultiUser | None = None,
        max_queue_size: int = 10_000,
        step_seconds: float = 0,
    ) -> None:
        super().__init__(folder, step_seconds=step_seconds, max_queue_size=max_queue_size)
        self.version: Version = VERSIONS[version]
        self.devices = 2 if self.version.is_seven else 1
        if multiuser is not None:
            self.access = multiuser
        self.clock_offset = timedelta(0)
        self.produced: list[Event] = []
        self.requests: list[tuple[str, str]] = []
        self._route_rules: list[RouteRule] = []
        self._event_rules: list[EventRule] = []
        self._holds: list[Hold] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self._socket_transports: weakref.WeakSet[asyncio.Transport] = weakref.WeakSet()
        self._news = asyncio.Condition()

    # -- REST

    def on(self, path: str, answer: Answer, *, method: str | None = None, times: int | None = 1) -> RouteRule:
        """The next `times` requests (None: all) whose path the expression is found in get this answer."""
        rule = RouteRule(times=times, path=re.compile(path), method=method, answer=answer)
        self._route_rules.append(rule)
        return rule

    def cut_enqueue(self, when: str, gate: asyncio.Event | float = 0.0, *, times: int | None = 1) -> RouteRule:
        """The POST of a batch breaks: "before" its effect, "during" or "after" it, or its effect comes "late"."""
        answer = {
            "before": answers.cut,
            "during": answers.cut_after_effect,
            "after": answers.cut_in_answer,
            "late": lambda: answers.late_effect(gate, self._tasks),
        }[when]()
        return self.on("/enqueue_batch$", answer, method="POST", times=times)

    def break_file(self, how: str, name: str = "", *, times: int | None = 1) -> RouteRule:
        """`/full` of an image (any, without a name): "missing", "truncated", "shortened", "corrupted",
        "too long", "too short"; its DTO stays as it is."""
        answer = {
            "missing": lambda: answers.status(404, "Not Found"),
            "truncated": answers.truncated,
            "shortened": answers.shortened,
            "corrupted": answers.corrupted,
            "too long": lambda: answers.wrong_length(1000),
            "too short": lambda: answers.wrong_length(-1000),
        }[how]()
        return self.on(f"{re.escape(name)}/full$", answer, times=times)

    def middlewares(self) -> list[Any]:
        return [refuse_polling, self._script, answer_like_invokeai, self._as_version, self.identify]

    @web.middleware
    async def _script(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self.requests.append((request.method, request.path_qs))
        if request.path.startswith("/ws/") and request.transport is not None:
            self._socket_transports.add(request.transport)
        for rule in self._route_rules:
            if rule.answer is not None and rule.takes(request):
                rule.hit()
                return await rule.answer(request, handler)
        return await handler(request)

    @web.middleware
    async def _as_version(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self.version.lacks(request):
            raise web.HTTPNotFound
        try:
            response = await handler(request)
        except Problem as problem:
            if problem.status == 404 and "item_id" in request.match_info and not self.version.knows_unknown_items:
                return web.Response(status=500, text="Internal Server Error")
            raise
        if not isinstance(response, web.Response) or response.content_type != "application/json":
            return response
        if self.version.is_seven and "/queue/" in request.path:
            response.body = msgspec.json.encode(self._as_seven(request, msgspec.json.decode(response.body or b"null")))
        if self.version.unknown:
            data = self.version.stripped(msgspec.json.decode(response.body or b"null"))
            if request.path.endswith("/enqueue_batch") and not self.version.answers_item_ids:
                data.pop("item_ids", None)
            response.body = msgspec.json.encode(data)
        return response

    def _as_seven(self, request: web.Request, data: Any) -> Any:
        """Item ids ascend in the answer to a POST, and whole items have no result that names a deleted image."""
        if request.path.endswith("/enqueue_batch") and "item_ids" in data:
            data["item_ids"].sort()
        for item in data if isinstance(data, list) else [data]:
            if isinstance(item, dict) and item.get("session"):
                results = item["session"]["results"]
                there = {key for key, result in results.items() if all(map(self.images.find, image_names(result)))}
                item["session"]["results"] = {key: results[key] for key in results if key in there}
        return data

    def add_routes(self, app: web.Application) -> None:
        if self.version.is_seven:
            app.router.add_post("/api/v1/images/copy", self._copy)
            app.router.add_get("/api/v1/projects/", self._projects, allow_head=False)
        if self.version.has_list:
            app.router.add_get("/api/v1/queue/{queue_id}/list", self._list, allow_head=False)
        super().add_routes(app)

    async def get_version(self, request: web.Request) -> web.Response:
        return json_answer(self.version.version_answer())

    async def get_openapi(self, request: web.Request) -> web.Response:
        return json_answer({"openapi": "3.1.0", "info": {}, "paths": self.version.routes(request.app)})

    async def _list(self, request: web.Request) -> web.Response:
        """Pages by cursor, the last item's id, until 6.6; items without their sessions."""
        limit, cursor = query_int(request, "limit", 50), query_int(request, "cursor", 0)
        wanted = request.query.get("status"), request.query.get("destination")
        found = [item for item in self.queue.of(request.match_info["queue_id"]) if item.item_id > cursor]
        found = [i for i in found if wanted[0] in (None, i.status) and wanted[1] in (None, i.destination)]
        items = [self.queue.dto(item) for item in found[:limit]]
        for item in items:
            del item["session"], item["workflow"]
        return json_answer({"limit": limit, "has_more": len(found) > limit, "items": items})

    async def _copy(self, request: web.Request) -> web.Response:
        """Files and metadata byte for byte, with new names and without a session."""
        names = await read_field(request, "image_names")
        return json_answer({name: self.add_copy(self.images.get(name)).image_name for name in names}, 201)

    async def _projects(self, request: web.Request) -> web.Response:
        return json_answer([])

    # -- events

    def drop_events(
        self, name: str | None = None, where: Where | None = None, *, times: int | None = None
    ) -> EventRule:
        return self._rule(EventRule(times=times, name=name, where=where, copies=0))

    def repeat_events(
        self, name: str | None = None, where: Where | None = None, *, copies: int = 2, times: int | None = None
    ) -> EventRule:
        return self._rule(EventRule(times=times, name=name, where=where, copies=copies))

    def delay_events(
        self, until: asyncio.Event, name: str | None = None, where: Where | None = None, *, times: int | None = None
    ) -> EventRule:
        """Held back until the gate opens; later events overtake them."""
        return self._rule(EventRule(times=times, name=name, where=where, until=until))

    def _rule(self, rule: EventRule) -> EventRule:
        self._event_rules.append(rule)
        return rule

    async def deliver(self, event: Event) -> None:
        async with self._news:
            self.produced.append(event)
            self._news.notify_all()
        if event.name == "queue_items_canceled" and not self.version.emits_items_canceled:
            return
        seen = event._replace(payload=self.version.stripped(event.payload)) if self.version.unknown else event
        rule = next((rule for rule in self._event_rules if rule.takes(event)), None)
        if rule is None:
            await super().deliver(seen)
            return
        rule.hit()
        if rule.until is None:
            for _ in range(rule.copies):
                await super().deliver(seen)
        else:
            self._keep(self._deliver_when(rule.until, seen))

    async def _deliver_when(self, gate: asyncio.Event, event: Event) -> None:
        await gate.wait()
        await super().deliver(event)

    def _keep(self, work: Any) -> None:
        task = asyncio.create_task(work, name="scripted")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def emit(self, name: str, payload: Json) -> None:
        """Sends an event of the test's own making."""
        await self.deliver(Event(name, payload))

    async def until(self, met: Callable[[], Any], seconds: float = _PATIENCE) -> None:
        """Until the condition holds; looked at after each event this server produces, and now and then."""
        async with asyncio.timeout(seconds):
            while not met():
                async with self._news:
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._news.wait(), 0.02)

    async def until_ended(self, *item_ids: int, seconds: float = _PATIENCE) -> None:
        await self.until(lambda: all(self.queue.items[item_id].ended for item_id in item_ids), seconds)

    # -- items

    def hold(self, node: str, item_id: int | None = None) -> Hold:
        """Keeps every item (or one) before the node of that source id."""
        hold = Hold(node, item_id)
        self._holds.append(hold)
        return hold

    async def before_node(self, item: Item, prepared: Prepared) -> None:
        for hold in self._holds:
            if hold.node == prepared.source_id and hold.item_id in (None, item.item_id) and not hold.gate.is_set():
                hold.arrived.put_nowait(item)
                await hold.gate.wait()

    def main_model(self, base: str = "sd-1") -> Json:
        return self.models.select(bases=[base], kind="main")[0]

    async def change_status(self, item: Item, status: str) -> None:
        """Moves an item as InvokeAI does for workflow calls (in_progress, waiting, pending) and tells of it."""
        self.queue.move(item, status)
        await self.queue.announce(item)

    async def enqueue(self, body: Json, *, queue_id: str = "default", user_id: str = "system") -> Json:
        """Posts a batch as a user of InvokeAI's own pages would, past every scripted fault."""
        before = USER.set(User(user_id, is_admin=user_id == "system"))
        try:
            return await self.queue.enqueue(queue_id, body)
        finally:
            USER.reset(before)

    # -- its life

    async def drop_sockets(self) -> None:
        """Every socket breaks, as when a cable is pulled; new ones may connect at once."""
        lost = set(self.sockets)
        for transport in list(self._socket_transports):
            transport.abort()
        await self.until(lambda: not lost & set(self.sockets))

    async def disconnect_sockets(self) -> None:
        """The server says goodbye to every socket."""
        for sid in list(self.sockets):
            await self.sio.disconnect(sid)

    async def refuse(self) -> None:
        """Refuses new connections and cuts those there are; what runs goes on unseen. `accept` ends it."""
        if self._site is not None:
            await self._site.stop()
            self._site = None
        self.drop_connections()

    async def accept(self) -> None:
        await self.listen(self.host, self.port)

    async def kill(self) -> None:
        """The process dies: connections break, what ran is lost (FACTS §6)."""
        await self.stop()

    async def restart(self) -> None:
        """Comes back on the same port: what ran is canceled without an event, what was pending starts (FACTS §6)."""
        await self.start(self.host, self.port)

    async def new_database(self) -> None:
        """Another, empty InvokeAI behind the same URL: item ids start again at 1."""
        await self.kill()
        shutil.rmtree(self.folder)
        await self.restart()

    async def stop(self) -> None:
        await super().stop()
        for task in list(self._tasks):
            task.cancel()

    def now(self) -> datetime:
        return super().now() + self.clock_offset

    # -- images put there directly

    def add_image(
        self,
        *,
        size: tuple[int, int] = (64, 48),
        metadata: Json | None = None,
        created_at: datetime | None = None,
        shade: int = 128,
        **source: Any,
    ) -> Image:
        """An image that no item made. `source` are other fields of its record."""
        pixels = np.full((size[1], size[0], 3), shade, np.uint8)
        texts = {"invokeai_metadata": msgspec.json.encode(metadata).decode()} if metadata is not None else {}
        at = stamp(created_at) if created_at is not None else None
        data, thumbnail = self.images.encode(pixels, texts)
        return self.images.add(data, thumbnail, created_at=at, **source)

    def add_upload(self, **options: Any) -> Image:
        """Category user, session null: not mirrored (gallery reading)."""
        return self.add_image(image_category="user", image_origin="external", **options)

    def add_canvas_save(self, **options: Any) -> Image:
        """Canvas "Save to Gallery": category general, session null: mirrored (FACTS §10)."""
        return self.add_image(image_category="general", image_origin="external", **options)

    def add_layer(self, **options: Any) -> Image:
        """What 7's canvas keeps of its own: category other, not intermediate, session null: not mirrored."""
        return self.add_image(image_category="other", image_origin="external", **options)

    def add_copy(self, image: Image) -> Image:
        """As `POST /images/copy` does when a project is duplicated (FACTS §12)."""
        data = self.images.path(image.image_name).read_bytes()
        return self.images.keep(data, read_texts(data), image_category=image.image_category)

    def promote(self, image: Image) -> None:
        """7's "save to gallery" of a canvas candidate: a PATCH of its record, of which no event tells."""
        self.images.update(image, is_intermediate=False, image_category="general")
