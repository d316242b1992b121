"""The session queue: items, batches and every way an item changes (FACTS §3, §7)."""

from __future__ import annotations

import asyncio
import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from service.demo.batch import BatchRequest
from service.demo.clock import new_id, stamp
from service.demo.events import Events
from service.demo.items import ENDED, LIVE, STATUSES, Item, Work
from service.demo.store import Store

Json = dict[str, Any]
Match = Callable[[Item], bool]


class ItemNotFoundError(Exception):
    """No such item in that queue."""


class Queue:
    """All queues of one server, kept in the store and counted as they change."""

    def __init__(self, store: Store, events: Events, now: Callable[[], datetime], max_queue_size: int) -> None:
        self._store = store
        self._events = events
        self._now = now
        self.max_queue_size = max_queue_size
        self.items: dict[int, Item] = {}
        self.started = True
        self.current: Item | None = None
        self._last_id = store.last_item_id()
        self._works: dict[str, Work] = {}
        self._pending: list[tuple[int, int]] = []
        self._by_batch: defaultdict[tuple[str, str], dict[int, Item]] = defaultdict(dict)
        self._counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._batch_counts: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        self.changed = asyncio.Event()
        self._load()

    def _load(self) -> None:
        """After a restart what was running is canceled, without an event; what was pending goes on (FACTS §6)."""
        self._works = {row["work_id"]: Work(**row) for row in self._store.rows("works")}
        for row in self._store.rows("items"):
            item = Item.from_row(row, self._works)
            self._add(item)
            if item.status == "in_progress":
                self._move(item, "canceled")
        needed = {item.work.work_id for item in self.items.values()}
        self._store.remove("works", self._works.keys() - needed)

    def _stamp(self) -> str:
        return stamp(self._now())

    # -- reading

    def get(self, queue_id: str, item_id: int) -> Item:
        item = self.items.get(item_id)
        if item is None or item.queue_id != queue_id:
            raise ItemNotFoundError(item_id)
        return item

    def of(self, queue_id: str) -> list[Item]:
        return [item for item in self.items.values() if item.queue_id == queue_id]

    def next_pending(self, queue_id: str | None = None) -> Item | None:
        """The item that runs next: highest priority first, then the oldest."""
        if queue_id is not None:
            waiting = [item for item in self.of(queue_id) if item.status == "pending"]
            return min(waiting, key=lambda item: (-item.priority, item.item_id), default=None)
        while self._pending:
            item = self.items.get(self._pending[0][1])
            if item is not None and item.status == "pending":
                return item
            heapq.heappop(self._pending)
        return None

    def status(self, queue_id: str, user_id: str | None = None) -> Json:
        counts = self._counts[queue_id]
        current = self.current if self.current and self.current.queue_id == queue_id else None
        mine = [item for item in self.of(queue_id) if item.user_id == user_id] if user_id else []
        return {
            "queue_id": queue_id,
            "item_id": current and current.item_id,
            "batch_id": current and current.batch_id,
            "session_id": current and current.session_id,
            **_totals(counts),
            "user_pending": sum(item.status == "pending" for item in mine) if user_id else counts["pending"],
            "user_in_progress": sum(item.status == "in_progress" for item in mine)
            if user_id
            else counts["in_progress"],
        }

    def batch_status(self, queue_id: str, batch_id: str, visible: Match | None = None) -> Json:
        """Zeros and null origin for a batch it does not know, or whose items are not visible (FACTS §7, §9)."""
        first = next(iter(self._by_batch[queue_id, batch_id].values()), None)
        if first is None or (visible is not None and not visible(first)):
            return {"queue_id": queue_id, "batch_id": batch_id, "origin": None, "destination": None} | _totals(
                Counter()
            )
        known = {"queue_id": queue_id, "batch_id": batch_id, "origin": first.origin, "destination": first.destination}
        return known | _totals(self._batch_counts[queue_id, batch_id])

    def count(self, items: Iterable[Item]) -> Json:
        return _totals(Counter(item.status for item in items))

    # -- changing

    def _add(self, item: Item) -> None:
        self.items[item.item_id] = item
        self._by_batch[item.queue_id, item.batch_id][item.item_id] = item
        self._counts[item.queue_id][item.status] += 1
        self._batch_counts[item.queue_id, item.batch_id][item.status] += 1
        if item.status == "pending":
            heapq.heappush(self._pending, (-item.priority, item.item_id))

    def _move(self, item: Item, status: str) -> None:
        for counts in (self._counts[item.queue_id], self._batch_counts[item.queue_id, item.batch_id]):
            counts[item.status] -= 1
            counts[status] += 1
        item.status = status
        item.status_sequence += 1
        item.updated_at = self._stamp()
        if status == "in_progress":
            item.started_at = item.updated_at
        if status in ENDED:
            item.completed_at = item.updated_at
            if self.current is item:
                self.current = None
        self._store.put("items", item.item_id, item.row())
        self.changed.set()

    def _remove(self, items: Iterable[Item]) -> int:
        gone = list(items)
        for item in gone:
            del self.items[item.item_id]
            del self._by_batch[item.queue_id, item.batch_id][item.item_id]
            self._counts[item.queue_id][item.status] -= 1
            self._batch_counts[item.queue_id, item.batch_id][item.status] -= 1
        self._store.remove("items", [item.item_id for item in gone])
        self.changed.set()
        return len(gone)

    async def _announce(self, item: Item) -> None:
        batch_status = self.batch_status(item.queue_id, item.batch_id)
        await self._events.status_changed(item, batch_status, self.status(item.queue_id))

    async def enqueue(self, queue_id: str, request: BatchRequest, user_id: str) -> Json:
        """Adds as many items as fit; the answer's item_ids are all of that batch, newest first (FACTS §3, §7)."""
        pending = [item for item in self.of(queue_id) if item.status == "pending"]
        priority = max((item.priority for item in pending), default=0) + 1 if request.prepend else 0
        sessions = request.sessions(limit=max(0, self.max_queue_size - len(pending)))
        work = Work(new_id(), request.batch_id, request.origin, request.destination, request.graph, request.workflow)
        if sessions:
            self._works[work.work_id] = work
            self._store.put("works", work.work_id, {name: getattr(work, name) for name in work.__dataclass_fields__})
        self._insert([(work, values) for values in sessions], queue_id, priority, user_id)
        answer = {
            "queue_id": queue_id,
            "enqueued": len(sessions),
            "requested": request.requested,
            "batch": request.echo(),
            "priority": priority,
            "item_ids": sorted(self._by_batch[queue_id, work.batch_id], reverse=True),
        }
        await self._events.batch_enqueued(answer, request.origin, user_id)
        return answer

    def _insert(
        self,
        wanted: list[tuple[Work, list[Json] | None]],
        queue_id: str,
        priority: int,
        user_id: str,
        retried_from: int | None = None,
    ) -> None:
        at = self._stamp()
        added = []
        for work, values in wanted:
            self._last_id += 1
            item = Item(self._last_id, queue_id, work, new_id(), user_id, at, at, priority)
            item.field_values = values
            item.retried_from_item_id = retried_from
            added.append(item)
            self._add(item)
        self._store.put_items((item.item_id, item.row()) for item in added)
        self.changed.set()

    async def start(self, item: Item) -> None:
        self.current = item
        item.device = "cpu"
        self._move(item, "in_progress")
        await self._announce(item)

    async def finish(self, item: Item, status: str, session: Json | None = None, error: Json | None = None) -> None:
        """Ends a running item; one that ended meanwhile (canceled, deleted) only keeps what its nodes made."""
        item.session = session
        if item.status != "in_progress" or item.item_id not in self.items:
            if item.item_id in self.items:
                self._store.put("items", item.item_id, item.row())
            return
        for name, value in (error or {}).items():
            setattr(item, name, value)
        self._move(item, status)
        await self._announce(item)

    async def cancel(self, item: Item) -> None:
        if not item.ended:
            self._move(item, "canceled")
            await self._announce(item)

    async def cancel_where(self, queue_id: str, match: Match) -> int:
        """Bulk cancel: an event of its own for what runs, one event naming all that was pending (FACTS §3)."""
        affected = [item for item in self.of(queue_id) if not item.ended and match(item)]
        pending = [item for item in affected if item.status != "in_progress"]
        for item in pending:
            self._move(item, "canceled")
        for item in affected:
            await self.cancel(item)
        await self._events.items_canceled(queue_id, _ids_by_user(pending))
        return len(affected)

    async def delete(self, item: Item) -> None:
        await self.cancel(item)
        self._remove([item])

    async def delete_where(self, queue_id: str, match: Match) -> int:
        """Removes live items that match: running ones are canceled first, pending ones are named in one event."""
        affected = [item for item in self.of(queue_id) if match(item)]
        pending = [item for item in affected if item.status in LIVE and item.status != "in_progress"]
        for item in affected:
            if item.status == "in_progress":
                await self.cancel(item)
        self._remove(affected)
        await self._events.items_canceled(queue_id, _ids_by_user(pending))
        return len(affected)

    async def clear(self, queue_id: str, user_id: str | None) -> int:
        """Deletes everything, history included; of one user when a user is given (FACTS §3)."""
        affected = [item for item in self.of(queue_id) if user_id is None or item.user_id == user_id]
        for item in affected:
            if item.status == "in_progress":
                await self.cancel(item)
        deleted = self._remove(affected)
        await self._events.queue_cleared(queue_id, user_id)
        return deleted

    def prune(self, queue_id: str, user_id: str | None) -> int:
        """Deletes what has ended, without an event (FACTS §3)."""
        return self._remove(
            item for item in self.of(queue_id) if item.ended and (user_id is None or item.user_id == user_id)
        )

    async def retry(self, queue_id: str, item_ids: Iterable[int]) -> list[int]:
        """New items in the same batch for the failed and canceled ones; names only the old ids (FACTS §3)."""
        known = [self.items[item_id] for item_id in dict.fromkeys(item_ids) if item_id in self.items]
        old = [item for item in known if item.queue_id == queue_id and item.status in ("failed", "canceled")]
        for item in old:
            first = item.retried_from_item_id or item.item_id
            self._insert([(item.work, item.field_values or None)], queue_id, item.priority, item.user_id, first)
        await self._events.items_retried(queue_id, _ids_by_user(old))
        return [item.item_id for item in old]


def _ids_by_user(items: Iterable[Item]) -> dict[str, list[int]]:
    by_user: defaultdict[str, list[int]] = defaultdict(list)
    for item in items:
        by_user[item.user_id].append(item.item_id)
    return dict(by_user)


def _totals(counts: Counter[str]) -> Json:
    return {**{status: counts[status] for status in STATUSES}, "total": sum(counts.values())}
