"""One ordered queue per backend: socket events and readings go in, facts are kept and shown.

The consumer awaits nothing but its queue and the database: names to look up and items to read are handed on.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol
from uuid import UUID

import msgspec
import structlog

from service.correlation import items as rows
from service.correlation.correlate import (
    TERMINAL,
    Canceled,
    Fact,
    ImageSighted,
    ItemChanged,
    ItemEnded,
    ItemProgressed,
    ItemRead,
    Observation,
    correlate,
    reading,
)
from service.correlation.entries import (
    Entry,
    ForeignGone,
    ItemAbsence,
    ItemReading,
    Mark,
    SocketEvent,
    UnseenItems,
)
from service.correlation.ours import Ours
from service.correlation.tracking import Tracked, Tracking
from service.database.engine import Database
from service.invokeai import events
from service.invokeai.events import REDACTED, AnyItemEvent, ItemStatusChanged, ItemSummary, QueueItem
from service.live.announce import Announcer
from service.live.hub import Hub
from service.live.messages import Item, QueueStatus

log = structlog.get_logger()

PROGRESS = "invocation_progress"
ITEM_EVENTS = frozenset(name for name, kind in events.EVENTS.items() if issubclass(kind, events.QueueEvent))
PROGRESS_LIMIT = 512
"""Queue length from which progress is dropped."""
QUEUE_LIMIT = 2048
"""Queue length from which events are dropped too, and everything is read again instead (rule 1)."""


class Downstream(Protocol):
    """Where facts lead; every call returns at once."""

    def sight(self, image_name: str) -> None: ...
    def settle(self, batch_id: str, item_id: int, step_id: UUID, image_names: Sequence[str]) -> None: ...
    def read_items(self, item_ids: Sequence[int]) -> None: ...
    def read_everything(self) -> None: ...
    def read_queue_soon(self) -> None: ...
    def batch_seen(self, batch_id: str) -> None: ...
    def models_changed(self) -> None: ...


class Consumer:
    """Applies what is said of one backend's queue, in the order it was said."""

    def __init__(
        self,
        backend_id: UUID,
        queue_id: str,
        *,
        database: Database,
        hub: Hub,
        announcer: Announcer,
        tracking: Tracking,
        downstream: Downstream,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.backend_id = backend_id
        self.queue_id = queue_id
        self.tracking = tracking
        self._ours = Ours(backend_id, database, tracking)
        self._hub = hub
        self._announcer = announcer
        self._downstream = downstream
        self._clock = clock
        self._queue: asyncio.Queue[Entry] = asyncio.Queue(QUEUE_LIMIT)
        self.worked_at: float | None = None
        """When, on the process's monotonic clock, it was last told of an item: by an event, or by a reading, which
        tells only of those that are live or newly ended."""
        self.connection = 0
        """Counts the sockets that were lost: things said by one are told from those said by the next."""
        self.dropped_events = 0
        self.dropped_progress = 0
        self.failures = 0
        """Entries that could not be applied; a reading during which this rose is no complete one."""

    # --- intake ---

    def offer(self, name: str, payload: Any) -> None:
        """Takes a socket event without waiting; when full, progress is dropped first, then all is to be read again."""
        if name in ITEM_EVENTS:
            self.worked_at = self._clock()
        length = self._queue.qsize()
        if name == PROGRESS and length >= PROGRESS_LIMIT:
            self.dropped_progress += 1
        elif length >= QUEUE_LIMIT:
            self.dropped_events += 1
            self._downstream.read_everything()
        else:
            self._queue.put_nowait(SocketEvent(name, payload, self.connection))

    def disconnected(self) -> None:
        """The socket was lost: what comes next comes by another."""
        self.connection += 1

    async def put(self, entry: Entry) -> None:
        """Takes a reading, waiting while the queue is full."""
        if isinstance(entry, ItemReading):
            self.worked_at = self._clock()
        await self._queue.put(entry)

    # --- the loop ---

    async def run(self) -> None:
        """Supervised. After a failure what was being applied is lost, so everything is read again."""
        await self._ours.load()
        while True:
            await asyncio.sleep(0)  # what waits for nothing would fill every browser's backlog before any can read
            entry = await self._queue.get()
            try:
                await self.apply(entry)
            except msgspec.ValidationError as error:
                name = entry.name if isinstance(entry, SocketEvent) else type(entry).__name__
                log.warning("event_malformed", backend_id=str(self.backend_id), event_name=name, error=str(error))
                if name != PROGRESS:  # of which nothing is kept, and which comes by the hundred
                    self._downstream.read_everything()
            except Exception:
                self.failures += 1
                self._downstream.read_everything()
                raise

    async def settle_queue(self) -> None:
        """Returns when all that was taken in before has been applied."""
        mark = Mark(asyncio.Event())
        await self.put(mark)
        await mark.reached.wait()

    async def apply(self, entry: Entry) -> None:
        match entry:
            case SocketEvent():
                await self._apply_event(entry)
            case ItemReading():
                await self._apply_reading(entry)
            case ItemAbsence():
                # Perhaps only ever in the database: InvokeAI took it, and it left before anything was told of it.
                tracked = await self._ours.item(entry.batch_id, entry.item_id)
                if tracked is not None:
                    await self._apply(tracked, entry.absence)
            case UnseenItems():
                await self._apply_unseen(entry)
            case ForeignGone():
                self._show_lost(self.tracking.lose_foreign(entry.keys))
            case Mark():
                entry.reached.set()

    async def _apply_event(self, entry: SocketEvent) -> None:
        event = events.decode(entry.name, entry.payload)
        match event:
            case None:
                return
            case events.ModelsChanged():
                self._downstream.models_changed()
                return
        if event.queue_id != self.queue_id:
            return  # Single-user servers send every queue's events to every socket (FACTS §1).
        match event:
            case events.BatchEnqueued():
                if event.enqueued:  # a full queue announces batches it took nothing of, too (FACTS §7)
                    await self._apply_enqueued(event)
            case events.ItemsCanceled():
                canceled, unknown = self.tracking.known_ids(event.canceled_item_ids)
                for tracked in canceled:
                    await self._apply(tracked, Canceled())
                if unknown:
                    self._downstream.read_everything()  # pending ones nobody has told us of yet
            case events.ItemsRetried() | events.QueueCleared():
                self._downstream.read_everything()
            case _:
                await self._apply_item_event(event, entry.connection)

    async def _apply_enqueued(self, event: events.BatchEnqueued) -> None:
        if event.origin == rows.ORIGIN and await self._ours.batch(event.batch_id):
            self._downstream.batch_seen(event.batch_id)
        elif REDACTED not in (event.user_id, event.batch_id):
            self._downstream.read_queue_soon()  # nothing else tells of items that only wait (FACTS §2)

    async def _apply_item_event(self, event: AnyItemEvent, connection: int) -> None:
        tracked = await self._track(event)
        if tracked is None:
            return
        tracked.heard_by = connection
        await self._apply(tracked, event)
        if isinstance(event, ItemStatusChanged) and event.queue_counts is not None:
            counts = event.queue_counts
            self.show_queue(counts.pending, counts.in_progress)

    async def _apply_reading(self, entry: ItemReading) -> None:
        item = entry.item
        tracked = await self._track(item)
        if tracked is None:
            return
        if tracked.batch is not None:
            tracked.learn_ordinal(item.field_values)
        if isinstance(item, QueueItem):
            tracked.retried_from = tracked.retried_from or item.retried_from_item_id
        # What this connection has told of, it will tell the end of: the reading has only overtaken it.
        unheard = entry.across_reconnect and tracked.heard_by != self.connection
        await self._apply(tracked, reading(item, across_reconnect=unheard))

    async def _apply_unseen(self, entry: UnseenItems) -> None:
        """Absent twice, they are gone like others; one that turns up after all takes its place back."""
        batch = await self._ours.batch(entry.batch_id)
        if batch is None:
            return
        for ordinal in entry.ordinals:
            tracked = self.tracking.track(batch.batch_id, rows.unseen_id(ordinal), batch)
            tracked.ordinal = ordinal
            await self._apply(tracked, entry.absence)

    # --- one observation of one item ---

    async def _track(self, said: AnyItemEvent | QueueItem | ItemSummary) -> Tracked | None:
        """The item that is spoken of; None when it is not to be followed."""
        if REDACTED in (said.user_id, said.batch_id):
            return None  # Another user's, on a multiuser server (rule 2).
        tracked = self.tracking.get(said.batch_id, said.item_id)
        if tracked is not None:
            return tracked
        batch = await self._ours.batch(said.batch_id) if rows.names_a_step(said.origin, said.destination) else None
        if batch is not None:
            tracked = await self._ours.item(said.batch_id, said.item_id)
        elif isinstance(said, QueueItem | ItemSummary):
            if said.status in TERMINAL or not self.tracking.room_for_foreign:
                return None
        else:
            self._show_lost(self.tracking.make_room_for_foreign())
        return tracked or self.tracking.track(said.batch_id, said.item_id, batch)

    async def _apply(self, tracked: Tracked, observation: Observation) -> None:
        first = not tracked.shown
        tracked.known, facts = correlate(tracked.known, observation)
        for fact in facts:
            if isinstance(fact, ImageSighted):
                self._downstream.sight(fact.image_name)
        if tracked.batch is not None:
            changed = any(isinstance(fact, ItemChanged) for fact in facts)
            if first or changed or tracked.place != tracked.kept_place:
                await self._keep(tracked, tracked.batch, facts)
            if first and not tracked.unseen:
                self._downstream.batch_seen(tracked.batch.batch_id)
            self._hand_on(tracked, tracked.batch, facts)
        self._show(tracked, facts, first)

    async def _keep(self, tracked: Tracked, batch: rows.OurBatch, facts: tuple[Fact, ...]) -> None:
        place = tracked.kept_place
        stored = await self._ours.keep(tracked, batch, facts)
        new_to_step = not tracked.shown or tracked.kept_place != place
        if stored.adopted:
            self._announcer.photos_updated(stored.adopted)
        if stored.step_changed or stored.adopted or new_to_step:
            self._announcer.steps_updated([batch.step_id])
            self._announcer.ledger_changed(self.backend_id)

    def _hand_on(self, tracked: Tracked, batch: rows.OurBatch, facts: tuple[Fact, ...]) -> None:
        for fact in facts:
            if isinstance(fact, ItemEnded) and not tracked.known.settled:
                self._downstream.read_items([tracked.known.item_id])
            elif isinstance(fact, ItemRead):
                self._downstream.settle(batch.batch_id, tracked.known.item_id, batch.step_id, fact.image_names)

    def _show(self, tracked: Tracked, facts: tuple[Fact, ...], first: bool) -> None:
        changed = first or any(isinstance(fact, ItemChanged) for fact in facts)
        tracked.shown = True
        if changed:
            self.tracking.follow(tracked)
        if tracked.unseen:
            return
        for fact in facts:
            if isinstance(fact, ItemProgressed):
                self._hub.progress(self.tracking.progressed(tracked, fact, self._clock()))
        if changed:
            self._hub.publish("item.updated", self.tracking.resource(tracked))
        if any(isinstance(fact, ItemEnded) for fact in facts):
            self._announcer.ledger_changed(self.backend_id)

    def _show_lost(self, items: Sequence[Item]) -> None:
        for item in items:
            self._hub.publish("item.updated", item)
        if items:
            self._announcer.ledger_changed(self.backend_id)

    def show_queue(self, pending: int, in_progress: int) -> None:
        """Shows the queue's counts, which InvokeAI gives with every change of status."""
        self.tracking.pending, self.tracking.in_progress = pending, in_progress
        status = QueueStatus(
            backend_id=self.backend_id, pending=pending, in_progress=in_progress, ours=self.tracking.ours_live
        )
        self._hub.passing("queue.status", str(self.backend_id), status)
