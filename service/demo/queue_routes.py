"""REST of the session queue (FACTS §3, §7)."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from service.demo.answers import Problem, json_answer, read_json
from service.demo.queue import Item, Queue

Json = dict[str, Any]

ROOT = "/api/v1/queue/{queue_id}"
# fmt: off
_SUMMARY = (
    "item_id", "created_at", "status", "device", "started_at", "completed_at", "origin", "destination", "batch_id",
    "user_id", "user_display_name", "user_email", "field_values", "parent_item_id",
)
# fmt: on


class QueueRoutes:
    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    def add_to(self, app: web.Application) -> None:
        get, put, post = app.router.add_get, app.router.add_put, app.router.add_post
        post(f"{ROOT}/enqueue_batch", self.enqueue_batch)
        get(f"{ROOT}/item_ids", self.item_ids, allow_head=False)
        post(f"{ROOT}/items_by_ids", self.items_by_ids)
        post(f"{ROOT}/item_summaries_by_ids", self.item_summaries_by_ids)
        put(f"{ROOT}/cancel_by_batch_ids", self.cancel_by_batch_ids)
        get(f"{ROOT}/status", self.status, allow_head=False)
        get(f"{ROOT}/b/{{batch_id}}/status", self.batch_status, allow_head=False)
        put(f"{ROOT}/i/{{item_id}}/cancel", self.cancel_item)

    def item(self, request: web.Request) -> Item:
        """The one that the path names."""
        queue_id, item_id = request.match_info["queue_id"], int(request.match_info["item_id"])
        item = self._queue.items.get(item_id)
        if item is None or item.queue_id != queue_id:
            raise Problem(404, f"Queue item with id {item_id} not found in queue {queue_id}")
        return item

    async def named(self, request: web.Request) -> list[Item]:
        """The items that the body names and that exist."""
        found = (self._queue.items.get(item_id) for item_id in (await read_json(request))["item_ids"])
        return [item for item in found if item is not None and item.queue_id == request.match_info["queue_id"]]

    def summary(self, item: Item) -> Json:
        return item.named(*_SUMMARY)

    # -- reading

    async def item_ids(self, request: web.Request) -> web.Response:
        """By creation; items of one batch were created at once and stay in order (FACTS §6)."""
        items = self._queue.of(request.match_info["queue_id"])
        items.sort(key=lambda item: item.created_at, reverse=request.query.get("order_dir", "DESC") == "DESC")
        return json_answer({"item_ids": [item.item_id for item in items], "total_count": len(items)})

    async def items_by_ids(self, request: web.Request) -> web.Response:
        return json_answer([self._queue.dto(item) for item in await self.named(request)])

    async def item_summaries_by_ids(self, request: web.Request) -> web.Response:
        return json_answer([self.summary(item) for item in await self.named(request)])

    def processor(self) -> Json:
        return {"is_started": self._queue.started, "is_processing": self._queue.current is not None}

    async def status(self, request: web.Request) -> web.Response:
        return json_answer({"queue": self._queue.status(request.match_info["queue_id"]), "processor": self.processor()})

    async def batch_status(self, request: web.Request) -> web.Response:
        queue_id, batch_id = request.match_info["queue_id"], request.match_info["batch_id"]
        return json_answer(self._queue.batch_status(queue_id, batch_id))

    # -- changing

    async def enqueue_batch(self, request: web.Request) -> web.Response:
        return json_answer(await self._queue.enqueue(request.match_info["queue_id"], await read_json(request)))

    async def cancel_item(self, request: web.Request) -> web.Response:
        item = self.item(request)
        await self._queue.cancel(item)
        return json_answer(self._queue.dto(item))

    async def cancel_by_batch_ids(self, request: web.Request) -> web.Response:
        batch_ids = set((await read_json(request))["batch_ids"])
        match_info = request.match_info
        canceled = await self._queue.cancel_where(match_info["queue_id"], lambda item: item.batch_id in batch_ids)
        return json_answer({"canceled": canceled})
