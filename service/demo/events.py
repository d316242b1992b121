"""The socket events: their payloads, with every null present (FACTS §2)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from service.demo.items import Item

Json = dict[str, Any]


@dataclass(frozen=True)
class Event:
    """One event on its way to the sockets. `owner` is the user it concerns; None concerns everyone."""

    name: str
    payload: Json
    owner: str | None = None

    def with_payload(self, **changes: Any) -> Event:
        return replace(self, payload=self.payload | changes)


Deliver = Callable[[Event], Awaitable[None]]


class Events:
    """Builds each event and hands it to `deliver`, in the order things happened."""

    def __init__(self, deliver: Deliver, now: Callable[[], datetime]) -> None:
        self._deliver = deliver
        self._now = now

    async def _send(self, name: str, payload: Json, owner: str | None) -> None:
        await self._deliver(Event(name, {"timestamp": int(self._now().timestamp())} | payload, owner))

    async def batch_enqueued(self, answer: Json, origin: str | None, user_id: str) -> None:
        named = {name: answer[name] for name in ("enqueued", "requested", "priority")}
        payload = {"queue_id": answer["queue_id"], "batch_id": answer["batch"]["batch_id"]} | named
        await self._send("batch_enqueued", payload | {"origin": origin, "user_id": user_id}, user_id)

    async def status_changed(self, item: Item, batch_status: Json, queue_status: Json) -> None:
        payload = _of(item) | {
            "status": item.status,
            "status_sequence": item.status_sequence,
            "error_type": item.error_type,
            "error_message": item.error_message,
            "error_traceback": item.error_traceback,
            "created_at": item.created_at,
            "updated_at": item.updated_at,
            "started_at": item.started_at,
            "completed_at": item.completed_at,
            "batch_status": batch_status,
            "queue_status": queue_status,
            "session_id": item.session_id,
        }
        await self._send("queue_item_status_changed", payload, item.user_id)

    async def invocation(self, name: str, item: Item, invocation: Json, source_id: str, **more: Any) -> None:
        """`name` is started, progress, complete or error."""
        payload = _of(item) | {
            "session_id": item.session_id,
            "invocation": invocation,
            "invocation_source_id": source_id,
        }
        await self._send(f"invocation_{name}", payload | more, item.user_id)

    async def model_load(self, name: str, config: Json, submodel: str, user_id: str) -> None:
        """`name` is started or complete."""
        await self._send(f"model_load_{name}", {"config": config, "submodel_type": submodel, "user_id": user_id}, None)

    async def items_canceled(self, queue_id: str, ids_by_user: dict[str, list[int]]) -> None:
        if ids_by_user:
            await self._items("queue_items_canceled", "canceled_item_ids", queue_id, ids_by_user)

    async def items_retried(self, queue_id: str, ids_by_user: dict[str, list[int]]) -> None:
        await self._items("queue_items_retried", "retried_item_ids", queue_id, ids_by_user)

    async def _items(self, name: str, key: str, queue_id: str, ids_by_user: dict[str, list[int]]) -> None:
        ids = [item_id for ids in ids_by_user.values() for item_id in ids]
        payload = {"queue_id": queue_id, key: ids, "user_ids": list(ids_by_user), f"{key}_by_user": ids_by_user}
        await self._send(name, payload, None)

    async def queue_cleared(self, queue_id: str, user_id: str | None) -> None:
        await self._send("queue_cleared", {"queue_id": queue_id, "user_id": user_id}, None)


def _of(item: Item) -> Json:
    return {
        "queue_id": item.queue_id,
        "item_id": item.item_id,
        "batch_id": item.batch_id,
        "origin": item.origin,
        "destination": item.destination,
        "user_id": item.user_id,
    }
