"""REST of the session queue."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from aiohttp import web

from service.demo.access import Access, User
from service.demo.batch import BatchRequest, InvalidBatchError
from service.demo.http import Problem, invalid, json_answer, path_int, query_direction, read_field, read_json
from service.demo.items import Item, PoisonError, without_nulls
from service.demo.queue import ItemNotFoundError, Queue

Json = dict[str, Any]

_ROOT = "/api/v1/queue/{queue_id}"


class QueueRoutes:
    """What a user may see and do is asked of `access`: everything, unless it is a multiuser server."""

    def __init__(self, queue: Queue, access: Access) -> None:
        self._queue, self._access = queue, access

    def add_to(self, app: web.Application) -> None:
        get, put, post = app.router.add_get, app.router.add_put, app.router.add_post
        post(f"{_ROOT}/enqueue_batch", self.enqueue_batch)
        get(f"{_ROOT}/list_all", self.list_all, allow_head=False)
        get(f"{_ROOT}/item_ids", self.item_ids, allow_head=False)
        post(f"{_ROOT}/items_by_ids", self.items_by_ids)
        post(f"{_ROOT}/item_summaries_by_ids", self.item_summaries_by_ids)
        put(f"{_ROOT}/processor/resume", self.resume)
        put(f"{_ROOT}/processor/pause", self.pause)
        put(f"{_ROOT}/cancel_all_except_current", self.cancel_all_except_current)
        put(f"{_ROOT}/delete_all_except_current", self.delete_all_except_current)
        put(f"{_ROOT}/cancel_by_batch_ids", self.cancel_by_batch_ids)
        put(f"{_ROOT}/cancel_by_destination", self.cancel_by_destination)
        put(f"{_ROOT}/retry_items_by_id", self.retry_items_by_id)
        put(f"{_ROOT}/clear", self.clear)
        put(f"{_ROOT}/prune", self.prune)
        get(f"{_ROOT}/current", self.current, allow_head=False)
        get(f"{_ROOT}/next", self.next, allow_head=False)
        get(f"{_ROOT}/status", self.status, allow_head=False)
        get(f"{_ROOT}/b/{{batch_id}}/status", self.batch_status, allow_head=False)
        get(f"{_ROOT}/i/{{item_id}}", self.get_item, allow_head=False)
        app.router.add_delete(f"{_ROOT}/i/{{item_id}}", self.delete_item)
        put(f"{_ROOT}/i/{{item_id}}/cancel", self.cancel_item)
        get(f"{_ROOT}/counts_by_destination", self.counts_by_destination, allow_head=False)
        app.router.add_delete(f"{_ROOT}/d/{{destination}}", self.delete_by_destination)

    # -- what a request names

    def _item(self, request: web.Request) -> Item:
        queue_id, item_id = request.match_info["queue_id"], path_int(request, "item_id")
        try:
            item = self._queue.get(queue_id, item_id)
            item.graph()
        except ItemNotFoundError:
            raise Problem(404, f"Queue item with id {item_id} not found in queue {queue_id}") from None
        except PoisonError as poison:
            raise Problem(500, f"Unexpected error while fetching queue item: {poison}") from poison
        return item

    def _own_item(self, request: web.Request, verb: str) -> Item:
        item = self._item(request)
        if not self._access.user(request).owns(item.user_id):
            raise Problem(403, f"You do not have permission to {verb} this queue item")
        return item

    def _dto(self, item: Item, user: User) -> Json:
        try:
            whole = item.dto(self._access.profile(item.user_id))
        except PoisonError as poison:
            raise Problem(500, f"Unexpected error while reading queue item: {poison}") from poison
        return whole if user.owns(item.user_id) else self._access.redact(whole)

    async def _ids(self, request: web.Request) -> list[Item]:
        wanted = await read_field(request, "item_ids")
        queue_id = request.match_info["queue_id"]
        found = [self._queue.items.get(item_id) for item_id in wanted]
        return [item for item in found if item is not None and item.queue_id == queue_id]

    def _mine(self, request: web.Request) -> tuple[str, Callable[[Item], bool]]:
        user = self._access.user(request)
        return request.match_info["queue_id"], lambda item: user.owns(item.user_id)

    # -- reading

    async def list_all(self, request: web.Request) -> web.Response:
        user, destination = self._access.user(request), request.query.get("destination")
        items = [i for i in self._queue.of(request.match_info["queue_id"]) if destination in (None, i.destination)]
        items.sort(key=lambda item: (-item.priority, item.item_id))
        return json_answer([self._dto(item, user) for item in items])

    async def item_ids(self, request: web.Request) -> web.Response:
        """By creation; items of one batch were created at once and stay in order (FACTS §6)."""
        direction = query_direction(request)
        items = self._queue.of(request.match_info["queue_id"])
        items.sort(key=lambda item: item.created_at, reverse=direction == "DESC")
        return json_answer({"item_ids": [item.item_id for item in items], "total_count": len(items)})

    async def items_by_ids(self, request: web.Request) -> web.Response:
        """Leaves out what cannot be read, as if it were not there (FACTS §7, poison)."""
        user = self._access.user(request)
        found = []
        for item in await self._ids(request):
            with suppress(Problem):
                found.append(self._dto(item, user))
        return json_answer(found)

    async def item_summaries_by_ids(self, request: web.Request) -> web.Response:
        user, access = self._access.user(request), self._access
        summaries = [(item.user_id, item.summary(access.profile(item.user_id))) for item in await self._ids(request)]
        return json_answer([whole if user.owns(owner) else access.redact(whole) for owner, whole in summaries])

    async def current(self, request: web.Request) -> web.Response:
        item = self._queue.current
        shown = item is not None and item.queue_id == request.match_info["queue_id"]
        return json_answer(self._dto(item, self._access.user(request)) if shown and item else None)

    async def next(self, request: web.Request) -> web.Response:
        item = self._queue.next_pending(request.match_info["queue_id"])
        return json_answer(self._dto(item, self._access.user(request)) if item else None)

    async def status(self, request: web.Request) -> web.Response:
        user = self._access.user(request)
        queue = self._queue.status(request.match_info["queue_id"], user.user_id)
        return json_answer({"queue": queue, "processor": self._processor()})

    def _processor(self) -> Json:
        return {"is_started": self._queue.started, "is_processing": self._queue.current is not None}

    async def batch_status(self, request: web.Request) -> web.Response:
        queue_id, batch_id = request.match_info["queue_id"], request.match_info["batch_id"]
        user = self._access.user(request)
        return json_answer(self._queue.batch_status(queue_id, batch_id, lambda item: user.owns(item.user_id)))

    async def counts_by_destination(self, request: web.Request) -> web.Response:
        queue_id, destination = request.match_info["queue_id"], request.query.get("destination", "")
        items = [item for item in self._queue.of(queue_id) if item.destination == destination]
        return json_answer({"queue_id": queue_id, "destination": destination} | self._queue.count(items))

    async def get_item(self, request: web.Request) -> web.Response:
        return json_answer(without_nulls(self._dto(self._item(request), self._access.user(request))))

    # -- changing

    async def enqueue_batch(self, request: web.Request) -> web.Response:
        user = self._access.user(request)
        try:
            batch = BatchRequest.parse(await read_json(request))
        except InvalidBatchError as refused:
            raise Problem(422, refused.detail) from refused
        return json_answer(await self._queue.enqueue(request.match_info["queue_id"], batch, user.user_id))

    async def delete_item(self, request: web.Request) -> web.Response:
        await self._queue.delete(self._own_item(request, "delete"))
        return json_answer(None)

    async def cancel_item(self, request: web.Request) -> web.Response:
        item = self._own_item(request, "cancel")
        await self._queue.cancel(item)
        return json_answer(self._dto(item, self._access.user(request)))

    async def cancel_by_batch_ids(self, request: web.Request) -> web.Response:
        queue_id, mine = self._mine(request)
        batch_ids = set(await read_field(request, "batch_ids"))
        canceled = await self._queue.cancel_where(queue_id, lambda item: mine(item) and item.batch_id in batch_ids)
        return json_answer({"canceled": canceled})

    async def cancel_by_destination(self, request: web.Request) -> web.Response:
        queue_id, mine = self._mine(request)
        if (destination := request.query.get("destination")) is None:
            raise invalid("missing", ["query", "destination"], "Field required", None)
        canceled = await self._queue.cancel_where(queue_id, lambda i: mine(i) and i.destination == destination)
        return json_answer({"canceled": canceled})

    async def cancel_all_except_current(self, request: web.Request) -> web.Response:
        queue_id, mine = self._mine(request)
        return json_answer({"canceled": await self._queue.cancel_where(queue_id, lambda i: mine(i) and not_running(i))})

    async def delete_all_except_current(self, request: web.Request) -> web.Response:
        queue_id, mine = self._mine(request)
        waiting = ("pending", "waiting")
        deleted = await self._queue.delete_where(queue_id, lambda item: mine(item) and item.status in waiting)
        return json_answer({"deleted": deleted})

    async def delete_by_destination(self, request: web.Request) -> web.Response:
        queue_id, mine = self._mine(request)
        destination = request.match_info["destination"]
        deleted = await self._queue.delete_where(queue_id, lambda i: mine(i) and i.destination == destination)
        return json_answer({"deleted": deleted})

    async def retry_items_by_id(self, request: web.Request) -> web.Response:
        queue_id = request.match_info["queue_id"]
        retried = await self._queue.retry(queue_id, await read_json(request) or [])
        return json_answer({"queue_id": queue_id, "retried_item_ids": retried})

    async def clear(self, request: web.Request) -> web.Response:
        user = self._access.user(request)
        deleted = await self._queue.clear(request.match_info["queue_id"], None if user.is_admin else user.user_id)
        return json_answer({"deleted": deleted})

    async def prune(self, request: web.Request) -> web.Response:
        user = self._access.user(request)
        deleted = self._queue.prune(request.match_info["queue_id"], None if user.is_admin else user.user_id)
        return json_answer({"deleted": deleted})

    async def pause(self, request: web.Request) -> web.Response:
        self._queue.started = False
        return json_answer(self._processor())

    async def resume(self, request: web.Request) -> web.Response:
        self._queue.started = True
        self._queue.changed.set()
        return json_answer(self._processor())


def not_running(item: Item) -> bool:
    return item.status != "in_progress"
