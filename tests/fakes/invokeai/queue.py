"""The session queue with what only InvokeAI's own pages do to it: pause, delete, clear, prune (FACTS §3, §7)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from service.demo.answers import Problem
from service.demo.queue import STATUSES, Item, Match, Queue, Tell, bulk, totals
from service.demo.store import Store
from tests.fakes.invokeai.access import USER, Access
from tests.fakes.invokeai.batch import checked
from tests.fakes.invokeai.checks import InvalidFieldError
from tests.fakes.invokeai.graphs import Execution, with_values
from tests.fakes.invokeai.images import remove

Json = dict[str, Any]

LIVE = ("pending", "in_progress", "waiting")
_LAST = "last_item_id"
# fmt: off
_REPEATED = (
    "batch_id", "origin", "destination", "user_id", "user_display_name", "user_email", "priority", "field_values",
    "workflow", "batch_graph",
)
# fmt: on

__all__ = ["STATUSES", "FullQueue", "PoisonError", "totals"]


class PoisonError(Problem):
    """The item holds a value of the wrong type: InvokeAI can no longer read its row (FACTS §7)."""

    def __init__(self, why: str) -> None:
        super().__init__(500, f"Unexpected error while fetching queue item: {why}")


class FullQueue(Queue):
    """Batches are checked, items belong to users, and ids are never reused, also after all items are gone."""

    def __init__(self, store: Store, tell: Tell, now: Callable[[], datetime], access: Access) -> None:
        super().__init__(store, tell, now)
        self._access = access
        self._last_id = max(self._last_id, *store.read(_LAST, int), 0)

    def next_pending(self) -> Item | None:
        """Highest priority first, then the oldest; None while the queue is paused, and behind an item that cannot be
        read."""
        waiting = [item for item in self.items.values() if item.status == "pending"] if self.started else []
        item = min(waiting, key=lambda item: (-item.priority, item.item_id), default=None)
        try:
            return item and self.execution(item) and item
        except PoisonError:
            return None

    def execution(self, item: Item) -> Execution:
        try:
            return Execution(with_values(item.batch_graph, item.field_values or []))
        except InvalidFieldError as wrong:
            raise PoisonError(str(wrong)) from wrong

    def dto(self, item: Item) -> Json:
        self.execution(item)
        whole = super().dto(item)
        return whole if USER.get().owns(item.user_id) else self._access.redact(whole)

    def session(self, item: Item, results: Json) -> Json:
        return self.execution(item).session(item.session_id)

    async def enqueue(self, queue_id: str, body: Any) -> Json:
        pending = [item.priority for item in self.of(queue_id) if item.status == "pending"]
        request = checked(body)
        priority = max(pending, default=0) + 1 if request.get("prepend") else 0
        return await super().enqueue(queue_id, request, priority)

    def insert(self, queue_id: str, wanted: Iterable[Json]) -> list[Item]:
        user_id = USER.get().user_id
        owner = {"user_id": user_id, **self._access.profile(user_id)}
        return super().insert(queue_id, (owner | fields for fields in wanted))

    def _remove(self, items: Iterable[Item]) -> int:
        gone = list(items)
        for item in gone:
            del self.items[item.item_id]
            self._count(item, -1)
        remove(self._store, "items", [item.item_id for item in gone])
        self._store.put(_LAST, {_LAST: self._last_id})
        self.changed.set()
        return len(gone)

    async def retry(self, queue_id: str, item_ids: Iterable[int]) -> list[int]:
        """New items in the same batch for the failed and canceled ones; names only the old ids (FACTS §3)."""
        known = [self.items[item_id] for item_id in dict.fromkeys(item_ids) if item_id in self.items]
        old = [item for item in known if item.queue_id == queue_id and item.status in ("failed", "canceled")]
        first = ({"retried_from_item_id": item.retried_from_item_id or item.item_id} for item in old)
        self.insert(queue_id, [item.named(*_REPEATED) | fields for item, fields in zip(old, first, strict=True)])
        await self._tell("queue_items_retried", bulk(queue_id, "retried_item_ids", old))
        return [item.item_id for item in old]

    async def finish(self, item: Item, status: str, session: Json, error: Json) -> None:
        """One that was deleted while it ran keeps nothing."""
        if item.item_id in self.items:
            await super().finish(item, status, session, error)

    async def delete(self, item: Item) -> None:
        await self.cancel(item)
        self._remove([item])

    async def delete_where(self, queue_id: str, match: Match) -> int:
        """Removes items that match: running ones are canceled first, pending ones are named in one event."""
        affected = [item for item in self.of(queue_id) if match(item)]
        pending = [item for item in affected if item.status in LIVE and item.status != "in_progress"]
        for item in affected:
            if item.status == "in_progress":
                await self.cancel(item)
        self._remove(affected)
        await self.tell_canceled(queue_id, pending)
        return len(affected)

    async def clear(self, queue_id: str, user_id: str | None) -> int:
        """Deletes everything, history included; of one user when a user is given (FACTS §3)."""
        affected = [item for item in self.of(queue_id) if user_id is None or item.user_id == user_id]
        for item in affected:
            if item.status == "in_progress":
                await self.cancel(item)
        deleted = self._remove(affected)
        await self._tell("queue_cleared", {"queue_id": queue_id, "user_id": user_id})
        return deleted

    def prune(self, queue_id: str, user_id: str | None) -> int:
        """Deletes what has ended, without an event (FACTS §3)."""
        return self._remove(
            item for item in self.of(queue_id) if item.ended and (user_id is None or item.user_id == user_id)
        )
