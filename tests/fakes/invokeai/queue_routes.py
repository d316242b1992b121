"""REST of the session queue, with the routes that Darkroom does not use, and what each user may see and do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from aiohttp import web

from service.demo.answers import Problem, json_answer
from service.demo.queue import Item, totals
from service.demo.queue_routes import ROOT, QueueRoutes
from tests.fakes.invokeai.access import USER, Access
from tests.fakes.invokeai.http import invalid, path_int, query_direction, read_field, read_json, without_nulls
from tests.fakes.invokeai.queue import FullQueue

Json = dict[str, Any]


class FullQueueRoutes(QueueRoutes):
    _queue: FullQueue

    def __init__(self, queue: FullQueue, access: Access) -> None:
        super().__init__(queue)
        self._access = access

    def add_to(self, app: web.Application) -> None:
        get, put, delete = app.router.add_get, app.router.add_put, app.router.add_delete
        get(f"{ROOT}/list_all", self.list_all, allow_head=False)
        put(f"{ROOT}/processor/resume", self.resume)
        put(f"{ROOT}/processor/pause", self.pause)
        put(f"{ROOT}/cancel_all_except_current", self.cancel_all_except_current)
        put(f"{ROOT}/delete_all_except_current", self.delete_all_except_current)
        put(f"{ROOT}/cancel_by_destination", self.cancel_by_destination)
        put(f"{ROOT}/retry_items_by_id", self.retry_items_by_id)
        put(f"{ROOT}/clear", self.clear)
        get(f"{ROOT}/i/{{item_id}}", self.get_item, allow_head=False)
        put(f"{ROOT}/prune", self.prune)
        get(f"{ROOT}/current", self.current, allow_head=False)
        get(f"{ROOT}/next", self.next, allow_head=False)
        delete(f"{ROOT}/i/{{item_id}}", self.delete_item)
        get(f"{ROOT}/counts_by_destination", self.counts_by_destination, allow_head=False)
        delete(f"{ROOT}/d/{{destination}}", self.delete_by_destination)
        super().add_to(app)

    # -- what a request names

    def item(self, request: web.Request) -> Item:
        path_int(request, "item_id")
        item = super().item(request)
        self._queue.execution(item)
        return item

    def _own_item(self, request: web.Request, verb: str) -> Item:
        item = self.item(request)
        if not USER.get().owns(item.user_id):
            raise Problem(403, f"You do not have permission to {verb} this queue item")
        return item

    def summary(self, item: Item) -> Json:
        whole = super().summary(item)
        return whole if USER.get().owns(item.user_id) else self._access.redact(whole)

    def _mine(self, request: web.Request) -> tuple[str, Callable[[Item], bool]]:
        user = USER.get()
        return request.match_info["queue_id"], lambda item: user.owns(item.user_id)

    # -- reading

    async def item_ids(self, request: web.Request) -> web.Response:
        query_direction(request)
        return await super().item_ids(request)

    async def get_item(self, request: web.Request) -> web.Response:
        return json_answer(without_nulls(self._queue.dto(self.item(request))))

    async def list_all(self, request: web.Request) -> web.Response:
        destination = request.query.get("destination")
        items = [i for i in self._queue.of(request.match_info["queue_id"]) if destination in (None, i.destination)]
        items.sort(key=lambda item: (-item.priority, item.item_id))
        return json_answer([self._queue.dto(item) for item in items])

    async def items_by_ids(self, request: web.Request) -> web.Response:
        """Leaves out what cannot be read, as if it were not there (FACTS §7, poison)."""
        found = []
        for item in await self.named(request):
            with suppress(Problem):
                found.append(self._queue.dto(item))
        return json_answer(found)

    async def current(self, request: web.Request) -> web.Response:
        item = self._queue.current
        shown = item is not None and item.queue_id == request.match_info["queue_id"]
        return json_answer(self._queue.dto(item) if shown and item else None)

    async def next(self, request: web.Request) -> web.Response:
        waiting = [i for i in self._queue.of(request.match_info["queue_id"]) if i.status == "pending"]
        item = min(waiting, key=lambda item: (-item.priority, item.item_id), default=None)
        return json_answer(self._queue.dto(item) if item else None)

    async def status(self, request: web.Request) -> web.Response:
        queue_id, user_id = request.match_info["queue_id"], USER.get().user_id
        mine = Counter(item.status for item in self._queue.of(queue_id) if item.user_id == user_id)
        counts = {"user_pending": mine["pending"], "user_in_progress": mine["in_progress"]}
        return json_answer({"queue": self._queue.status(queue_id) | counts, "processor": self.processor()})

    async def batch_status(self, request: web.Request) -> web.Response:
        """Of a batch of somebody else, as of one that it does not know (FACTS §9)."""
        queue_id, mine = self._mine(request)
        batch_id = request.match_info["batch_id"]
        others = any(item.batch_id == batch_id and not mine(item) for item in self._queue.of(queue_id))
        known = self._queue.batch_status(queue_id, batch_id)
        return json_answer(known | {"origin": None, "destination": None} | totals(Counter()) if others else known)

    async def counts_by_destination(self, request: web.Request) -> web.Response:
        queue_id, destination = request.match_info["queue_id"], request.query.get("destination", "")
        counts = Counter(item.status for item in self._queue.of(queue_id) if item.destination == destination)
        return json_answer({"queue_id": queue_id, "destination": destination} | totals(counts))

    # -- changing

    async def enqueue_batch(self, request: web.Request) -> web.Response:
        return json_answer(await self._queue.enqueue(request.match_info["queue_id"], await read_json(request)))

    async def delete_item(self, request: web.Request) -> web.Response:
        await self._queue.delete(self._own_item(request, "delete"))
        return json_answer(None)

    async def cancel_item(self, request: web.Request) -> web.Response:
        self._own_item(request, "cancel")
        return await super().cancel_item(request)

    async def _cancel(self, request: web.Request, match: Callable[[Item], bool]) -> web.Response:
        queue_id, mine = self._mine(request)
        return json_answer({"canceled": await self._queue.cancel_where(queue_id, lambda i: mine(i) and match(i))})

    async def _delete(self, request: web.Request, match: Callable[[Item], bool]) -> web.Response:
        queue_id, mine = self._mine(request)
        return json_answer({"deleted": await self._queue.delete_where(queue_id, lambda i: mine(i) and match(i))})

    async def cancel_by_batch_ids(self, request: web.Request) -> web.Response:
        batch_ids = set(await read_field(request, "batch_ids"))
        return await self._cancel(request, lambda item: item.batch_id in batch_ids)

    async def cancel_by_destination(self, request: web.Request) -> web.Response:
        if (destination := request.query.get("destination")) is None:
            raise invalid("missing", ["query", "destination"], "Field required", None)
        return await self._cancel(request, lambda item: item.destination == destination)

    async def cancel_all_except_current(self, request: web.Request) -> web.Response:
        return await self._cancel(request, lambda item: item.status != "in_progress")

    async def delete_all_except_current(self, request: web.Request) -> web.Response:
        return await self._delete(request, lambda item: item.status in ("pending", "waiting"))

    async def delete_by_destination(self, request: web.Request) -> web.Response:
        destination = request.match_info["destination"]
        return await self._delete(request, lambda item: item.destination == destination)

    async def retry_items_by_id(self, request: web.Request) -> web.Response:
        queue_id = request.match_info["queue_id"]
        retried = await self._queue.retry(queue_id, await read_json(request) or [])
        return json_answer({"queue_id": queue_id, "retried_item_ids": retried})

    async def clear(self, request: web.Request) -> web.Response:
        user = USER.get()
        deleted = await self._queue.clear(request.match_info["queue_id"], None if user.is_admin else user.user_id)
        return json_answer({"deleted": deleted})

    async def prune(self, request: web.Request) -> web.Response:
        user = USER.get()
        deleted = self._queue.prune(request.match_info["queue_id"], None if user.is_admin else user.user_id)
        return json_answer({"deleted": deleted})

    async def pause(self, request: web.Request) -> web.Response:
        self._queue.started = False
        return json_answer(self.processor())

    async def resume(self, request: web.Request) -> web.Response:
        self._queue.started = True
        self._queue.changed.set()
        return json_answer(self.processor())
