"""Applies InvokeAI's events and our readings of one backend's queue, in one order.
The consumer awaits nothing but its inbox and the database: names to look up and items to read are passed on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from uuid import UUID

import msgspec
import structlog

from service.bus.bus import Bus
from service.bus.live_state import Item, QueueStatus
from service.correlation.exchange import (
    Barrier,
    Entry,
    ForeignGone,
    ItemAbsence,
    ReadingRequests,
    SocketEvent,
    UnseenItems,
)
from service.correlation.image_lookups import ImageLookups
from service.correlation.tracked import Tracked
from service.correlation.tracking import OwnItems, Tracking
from service.database.engine import Database
from service.invokeai import events
from service.invokeai.events import REDACTED, AnyItemEvent, ItemStatusChanged, ItemSummary, QueueItem
from service.steps import queue_items as rows
from service.steps.item_state import TERMINAL, Canceled, Facts, Observation, Reading, correlate

log = structlog.get_logger()

PROGRESS = "invocation_progress"
ITEM_EVENTS = frozenset(name for name, kind in events.EVENTS.items() if issubclass(kind, events.QueueEvent))
PROGRESS_LIMIT = 512
"""Length of the inbox from which progress is dropped."""
QUEUE_LIMIT = 2048
"""Length from which events are dropped too, and everything is read again instead (events are hints)."""
QUEUE_BYTES = 32 * 1024 * 1024
"""Bytes of waiting events, from which more are dropped in the same way."""


class Consumer:
    """Applies what is said of one backend's queue, in the order it was said."""

    def __init__(
        self,
        backend_id: UUID,
        queue_id: str,
        *,
        database: Database,
        bus: Bus,
        tracking: Tracking,
        lookups: ImageLookups,
        requests: ReadingRequests,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.backend_id = backend_id
        self.queue_id = queue_id
        self.tracking = tracking
        self.own_items = OwnItems(backend_id, database, tracking)
        self._bus = bus
        self._lookups = lookups
        self._requests = requests
        self._clock = clock
        self._inbox: asyncio.Queue[Entry] = asyncio.Queue(QUEUE_LIMIT)
        self._waiting_bytes = 0
        self.heard_at: float | None = None
        """When, on the process's monotonic clock, the last event came."""
        self.worked_at: float | None = None
        """When an event or a reading last told of an item; readings report only live and newly ended ones."""
        self.connection = 0
        """The number of lost sockets, by which events of one socket are told from those of the next."""
        self.dropped_events = 0
        self.dropped_progress = 0
        self.failures = 0
        """Entries that could not be applied; a reading during which this rose is no complete one."""

    # --- intake ---

    def offer(self, name: str, payload: bytes) -> None:
        """Takes a socket event without waiting; when full, progress is dropped first, then all is to be read again."""
        self.heard_at = self._clock()
        if name in ITEM_EVENTS:
            self.worked_at = self.heard_at
        length = self._inbox.qsize()
        is_heavy = self._waiting_bytes + len(payload) > QUEUE_BYTES
        if name == PROGRESS and (length >= PROGRESS_LIMIT or is_heavy):
            self.dropped_progress += 1
        elif length >= QUEUE_LIMIT or is_heavy:
            self.dropped_events += 1
            self._requests.everything()
        else:
            self._waiting_bytes += len(payload)
            self._inbox.put_nowait(SocketEvent(name, payload, self.connection))

    def disconnected(self) -> None:
        """The socket was lost: what comes next comes by another."""
        self.connection += 1

    async def put(self, entry: Entry) -> None:
        """Takes a reading, waiting while the queue is full."""
        if isinstance(entry, Reading):
            self.worked_at = self._clock()
        await self._inbox.put(entry)

    # --- the loop ---

    async def run(self) -> None:
        """Supervised. After a failure what was being applied is lost, so everything is read again."""
        await self.own_items.load()
        while True:
            await asyncio.sleep(0)  # what waits for nothing would fill every browser's backlog before any can read
            entry = await self._inbox.get()
            if isinstance(entry, SocketEvent):
                self._waiting_bytes -= len(entry.payload)
            try:
                await self.apply(entry)
            except msgspec.ValidationError as error:
                name = entry.name if isinstance(entry, SocketEvent) else type(entry).__name__
                log.warning("event_malformed", backend_id=str(self.backend_id), event_name=name, error=str(error))
                if name != PROGRESS:  # of which nothing is kept, and which comes by the hundred
                    self._requests.everything()
            except Exception:
                self.failures += 1
                self._requests.everything()
                raise

    async def settle_queue(self) -> None:
        """Returns when all that was taken in before has been applied."""
        barrier = Barrier(asyncio.Event())
        await self.put(barrier)
        await barrier.reached.wait()

    async def apply(self, entry: Entry) -> None:
        match entry:
            case SocketEvent():
                await self._apply_event(entry)
            case Reading():
                await self._apply_reading(entry)
            case ItemAbsence():
                # Perhaps only ever in the database: InvokeAI took it, and it left before anything was told of it.
                tracked = await self.own_items.get(entry.batch_id, entry.item_id)
                if tracked is not None:
                    await self._apply(tracked, entry.absence)
            case UnseenItems():
                await self._apply_unseen(entry)
            case ForeignGone():
                self._show_lost(self.tracking.lose_foreign(entry.keys))
            case Barrier():
                entry.reached.set()

    async def _apply_event(self, entry: SocketEvent) -> None:
        event = events.decode(entry.name, entry.payload)
        match event:
            case None:
                return
            case events.ModelsChanged():
                self._bus.models_changed(self.backend_id)
                return
        if event.queue_id != self.queue_id:
            return  # Single-user servers send every queue's events to every socket (FACTS §1).
        match event:
            case events.BatchEnqueued():
                if event.enqueued:  # a full queue announces batches it took nothing of, too (FACTS §7)
                    await self._apply_enqueued(event)
            case events.ItemsCanceled():
                ids = dict.fromkeys(event.canceled_item_ids)
                canceled = self.tracking.live_with_ids(ids)
                for tracked in canceled:
                    await self._apply(tracked, Canceled())
                if len(canceled) < len(ids):
                    self._requests.everything()  # pending ones nobody has told us of yet
            case events.ItemsRetried() | events.QueueCleared():
                self._requests.everything()
            case _:
                await self._apply_item_event(event, entry.connection)

    async def _apply_enqueued(self, event: events.BatchEnqueued) -> None:
        if event.origin == rows.ORIGIN and await self.own_items.batch(event.batch_id):
            self._bus.batch_seen(self.backend_id, event.batch_id)
        elif REDACTED not in (event.user_id, event.batch_id):
            self._requests.queue_soon()  # nothing else tells of items that only wait (FACTS §2)

    async def _apply_item_event(self, event: AnyItemEvent, connection: int) -> None:
        tracked = await self._track(event)
        if tracked is None:
            return
        tracked.heard_by = connection
        await self._apply(tracked, event)
        if isinstance(event, ItemStatusChanged) and event.queue_counts is not None:
            self.show_queue(event.queue_counts.pending, event.queue_counts.in_progress)

    async def _apply_reading(self, entry: Reading) -> None:
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
        await self._apply(tracked, Reading(item, across_reconnect=unheard))

    async def _apply_unseen(self, entry: UnseenItems) -> None:
        """Absent twice, they are gone like others; one that turns up after all takes its place back."""
        batch = await self.own_items.batch(entry.batch_id)
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
            return None  # Another user's, on a multiuser server (direct correlation).
        tracked = self.tracking.get(said.batch_id, said.item_id)
        if tracked is not None:
            return tracked
        batch = await self.own_items.batch(said.batch_id) if rows.names_a_step(said.origin, said.destination) else None
        if batch is not None:
            tracked = await self.own_items.get(said.batch_id, said.item_id)
        elif isinstance(said, QueueItem | ItemSummary):
            if said.status in TERMINAL or not self.tracking.room_for_foreign:
                return None
        else:
            self._show_lost(self.tracking.make_room_for_foreign())
        return tracked or self.tracking.track(said.batch_id, said.item_id, batch)

    async def _apply(self, tracked: Tracked, observation: Observation) -> None:
        first, batch, photos = not tracked.shown, tracked.batch, len(tracked.photo_ids)
        tracked.known, facts = correlate(tracked.known, observation)
        self.tracking.sighted(len(facts.sighted))
        for name in facts.sighted:
            self._lookups.add(name)
        if batch is not None:
            if first or facts.changed or tracked.place != tracked.kept_place:
                await self._keep(tracked, batch, facts)
            if first and not tracked.unseen:
                self._bus.batch_seen(self.backend_id, batch.batch_id)
            if facts.ended:
                self._requests.items([tracked.known.item_id])
            if facts.read is not None:
                self._lookups.settle(batch.batch_id, tracked.known.item_id, batch.step_id, facts.read)
        tracked.shown = True
        if first or facts.changed:
            self.tracking.follow(tracked)
        if not tracked.unseen:
            self._show(tracked, facts, first or len(tracked.photo_ids) != photos)

    async def _keep(self, tracked: Tracked, batch: rows.OwnBatch, facts: Facts) -> None:
        place = tracked.kept_place
        tracked.being_kept = True
        try:
            stored = await self.own_items.keep(tracked, batch, new_session=facts.session_learned)
        finally:
            tracked.being_kept = False
        new_to_step = not tracked.shown or tracked.kept_place != place
        if stored.adopted:
            self._bus.changed("photo.updated", stored.adopted)
        if stored.step_changed or stored.adopted or new_to_step:
            self._bus.changed("step.updated", [batch.step_id])
            self._bus.ledger_changed()

    def _show(self, tracked: Tracked, facts: Facts, is_new: bool) -> None:
        if facts.progress is not None:
            self._bus.item_progressed(self.tracking.progressed(tracked, facts.progress, self._clock()))
        if is_new or facts.changed:
            self._bus.item_changed(tracked.item)
        if facts.ended:
            self._bus.ledger_changed()

    def _show_lost(self, items: Sequence[Item]) -> None:
        for item in items:
            self._bus.item_changed(item)
        if items:
            self._bus.ledger_changed()

    def show_queue(self, pending: int, in_progress: int) -> None:
        """Shows the queue's counts, which InvokeAI gives with every change of status."""
        self.tracking.pending, self.tracking.in_progress = pending, in_progress
        ours = self.tracking.ours_live
        self._bus.queue_changed(
            QueueStatus(backend_id=self.backend_id, pending=pending, in_progress=in_progress, ours=ours)
        )
