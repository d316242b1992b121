"""The session queue: its items, and every way an item changes (FACTS §3, §7)."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict

from service.demo.answers import new_id, stamp
from service.demo.store import Store

Json = dict[str, Any]
Match = Callable[["Item"], bool]
Tell = Callable[[str, Json], Awaitable[None]]
"""Sends an event of that name to the sockets."""

ENDED = ("completed", "failed", "canceled")
STATUSES = ("pending", "in_progress", "waiting", *ENDED)

_EVENT = ("queue_id", "item_id", "batch_id", "origin", "destination", "user_id")
# fmt: off
_STATUS_EVENT = (
    "status", "status_sequence", "error_type", "error_message", "error_traceback", "created_at", "updated_at",
    "started_at", "completed_at",
)
# fmt: on
_BATCH = ("batch_id", "origin", "destination", "data", "graph", "workflow")
_RUNNING = ("item_id", "batch_id", "session_id")
_ENDS = ("origin", "destination")


class Item(Struct, kw_only=True):
    """One row of the queue: the fields of InvokeAI's answers, in its order, and the batch's graph, which is not shown.

    `session` is what its run left, None while there is nothing to show.
    """

    item_id: int
    status: str = "pending"
    status_sequence: int = 0
    priority: int = 0
    batch_id: str
    origin: str | None
    destination: str | None
    session_id: str
    error_type: str | None = None
    error_message: str | None = None
    error_traceback: str | None = None
    created_at: str
    updated_at: str
    started_at: str | None = None
    completed_at: str | None = None
    queue_id: str
    user_id: str = "system"
    user_display_name: str = "System"
    user_email: str = "system@system.invokeai"
    field_values: list[Json] | None = None
    retried_from_item_id: int | None = None
    device: str | None = None
    workflow_call_id: None = None
    parent_item_id: None = None
    parent_session_id: None = None
    root_item_id: None = None
    workflow_call_depth: None = None
    session: Json | None = None
    workflow: Json | None = None
    batch_graph: Json

    @property
    def ended(self) -> bool:
        return self.status in ENDED

    def graph(self) -> Json:
        """Its own graph: the batch's, with the item's values put in."""
        nodes = dict(self.batch_graph["nodes"])
        for value in self.field_values or []:
            nodes[value["node_path"]] = nodes[value["node_path"]] | {value["field_name"]: value["value"]}
        return self.batch_graph | {"nodes": nodes}

    def named(self, *fields: str) -> Json:
        return {field: getattr(self, field) for field in fields}

    def event(self) -> Json:
        """What each event says of its item."""
        return self.named(*_EVENT)


class Queue:
    """All queues of one server, kept in the store and counted as they change."""

    max_queue_size = 10_000
    started = True

    def __init__(self, store: Store, tell: Tell, now: Callable[[], datetime]) -> None:
        """After a restart what was running is canceled, without an event; what was pending goes on (FACTS §6)."""
        self._store, self._tell, self._now = store, tell, now
        self.items: dict[int, Item] = {}
        self.current: Item | None = None
        self.changed = asyncio.Event()
        self._last_id = 0
        self._counts: defaultdict[tuple[str, str | None], Counter[str]] = defaultdict(Counter)
        self._ends: dict[tuple[str, str], Json] = {}
        for item in store.read("items", Item):
            self._add(item)
            if item.status == "in_progress":
                self.move(item, "canceled")

    # -- reading

    def of(self, queue_id: str) -> list[Item]:
        return [item for item in self.items.values() if item.queue_id == queue_id]

    def next_pending(self) -> Item | None:
        """The item that runs next: the oldest."""
        return next((item for item in self.items.values() if item.status == "pending"), None)

    def session(self, item: Item, results: Json) -> Json:
        """What REST shows of a run; of an item that has not run there are no results."""
        return {"id": item.session_id, "graph": item.graph(), "results": results}

    def dto(self, item: Item) -> Json:
        """Every field, nulls included, as `items_by_ids` has them; with an empty session until it has run."""
        whole = asdict(item)
        del whole["batch_graph"]
        return whole | {"session": item.session or self.session(item, {})}

    def status(self, queue_id: str) -> Json:
        current = self.current if self.current and self.current.queue_id == queue_id else None
        running = current.named(*_RUNNING) if current else dict.fromkeys(_RUNNING)
        counts = totals(self._counts[queue_id, None])
        mine = {"user_pending": counts["pending"], "user_in_progress": counts["in_progress"]}
        return {"queue_id": queue_id, **running, **counts, **mine}

    def batch_status(self, queue_id: str, batch_id: str) -> Json:
        """Zeros and null origin for a batch it does not know (FACTS §7)."""
        counts = totals(self._counts[queue_id, batch_id])
        ends = self._ends[queue_id, batch_id] if counts["total"] else dict.fromkeys(_ENDS)
        return {"queue_id": queue_id, "batch_id": batch_id, **ends, **counts}

    # -- changing

    def _add(self, item: Item) -> None:
        self.items[item.item_id] = item
        self._last_id = max(self._last_id, item.item_id)
        self._ends.setdefault((item.queue_id, item.batch_id), item.named(*_ENDS))
        self._count(item, 1)

    def _count(self, item: Item, step: int) -> None:
        for batch_id in (None, item.batch_id):
            self._counts[item.queue_id, batch_id][item.status] += step

    def move(self, item: Item, status: str) -> None:
        self._count(item, -1)
        item.status = status
        self._count(item, 1)
        item.status_sequence += 1
        item.updated_at = stamp(self._now())
        if status == "in_progress":
            item.started_at = item.updated_at
        if item.ended:
            item.completed_at = item.updated_at
            if self.current is item:
                self.current = None
        self._store.put("items", {item.item_id: item})
        self.changed.set()

    async def announce(self, item: Item) -> None:
        counts = {
            "batch_status": self.batch_status(item.queue_id, item.batch_id),
            "queue_status": self.status(item.queue_id),
        }
        told = item.event() | item.named(*_STATUS_EVENT) | counts | {"session_id": item.session_id}
        await self._tell("queue_item_status_changed", told)

    async def enqueue(self, queue_id: str, body: Json, priority: int = 0) -> Json:
        """Adds as many items as fit; the answer's item_ids are all of that batch, newest first (FACTS §3, §7)."""
        batch = {name: body["batch"].get(name) for name in _BATCH} | {"runs": body["batch"].get("runs", 1)}
        batch["batch_id"] = batch["batch_id"] or new_id()
        room = self.max_queue_size - sum(item.status == "pending" for item in self.of(queue_id))
        groups = _groups(batch["data"] or [])
        every = (values for _ in range(batch["runs"]) for values in itertools.product(*groups))
        fitting = itertools.islice(every, max(0, room))
        shared = {name: batch[name] for name in ("batch_id", "origin", "destination", "workflow")}
        shared |= {"batch_graph": batch["graph"], "priority": priority}
        wanted = (shared | {"field_values": [*itertools.chain(*values)]} for values in fitting)
        added = self.insert(queue_id, wanted)
        counts = {"enqueued": len(added), "requested": math.prod([batch["runs"], *map(len, groups)])}
        told = {"queue_id": queue_id, "batch_id": batch["batch_id"], **counts, "priority": priority}
        user_id = added[0].user_id if added else "system"
        await self._tell("batch_enqueued", told | {"origin": batch["origin"], "user_id": user_id})
        ids = [item.item_id for item in self.of(queue_id) if item.batch_id == batch["batch_id"]]
        return {"queue_id": queue_id, **counts, "batch": batch, "priority": priority, "item_ids": ids[::-1]}

    def insert(self, queue_id: str, wanted: Iterable[Json]) -> list[Item]:
        """New items with these fields, all of one moment."""
        at = stamp(self._now())
        added = []
        for item_id, fields in enumerate(wanted, self._last_id + 1):
            item = Item(item_id=item_id, queue_id=queue_id, session_id=new_id(), created_at=at, updated_at=at, **fields)
            self._add(item)
            added.append(item)
        self._store.put("items", {item.item_id: item for item in added})
        self.changed.set()
        return added

    async def start(self, item: Item) -> None:
        self.current, item.device = item, "cpu"
        self.move(item, "in_progress")
        await self.announce(item)

    async def finish(self, item: Item, status: str, session: Json, error: Json) -> None:
        """Ends a running item; one that was canceled while it ran only keeps what its nodes made."""
        item.session = session
        if item.status != "in_progress":
            self._store.put("items", {item.item_id: item})
            return
        for name, value in error.items():
            setattr(item, name, value)
        self.move(item, status)
        await self.announce(item)

    async def cancel(self, item: Item) -> None:
        if not item.ended:
            self.move(item, "canceled")
            await self.announce(item)

    async def cancel_where(self, queue_id: str, match: Match) -> int:
        """Bulk cancel: an event of its own for what runs, one event naming all that was pending (FACTS §3)."""
        affected = [item for item in self.of(queue_id) if not item.ended and match(item)]
        pending = [item for item in affected if item.status != "in_progress"]
        for item in pending:
            self.move(item, "canceled")
        for item in affected:
            await self.cancel(item)
        await self.tell_canceled(queue_id, pending)
        return len(affected)

    async def tell_canceled(self, queue_id: str, items: list[Item]) -> None:
        if items:
            await self._tell("queue_items_canceled", bulk(queue_id, "canceled_item_ids", items))


def totals(counts: Counter[str]) -> Json:
    return {**{status: counts[status] for status in STATUSES}, "total": sum(counts.values())}


def _groups(data: list[list[Json]]) -> list[list[list[Json]]]:
    """The field values of each group's turns: lists of one group are zipped, groups multiply."""
    return [
        [
            [{"node_path": at["node_path"], "field_name": at["field_name"], "value": at["items"][turn]} for at in group]
            for turn in range(len(group[0]["items"]) if group else 0)
        ]
        for group in data
    ]


def bulk(queue_id: str, key: str, items: list[Item]) -> Json:
    by_user: defaultdict[str, list[int]] = defaultdict(list)
    for item in items:
        by_user[item.user_id].append(item.item_id)
    ids = [item_id for ids in by_user.values() for item_id in ids]
    return {"queue_id": queue_id, key: ids, "user_ids": list(by_user), f"{key}_by_user": by_user}
