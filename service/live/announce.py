"""Turns changes on the bus into feed messages: whole resources, read again, in the order of the changes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, Literal
from uuid import UUID

import structlog

from service.api.resources import Album, Backend, Data, ModelsUpdated, Photo, Removed, Session, SettingsUpdated, Step
from service.bus.bus import Bus, Change
from service.bus.live_state import Ledger
from service.live.hub import BACKLOG, Hub

log = structlog.get_logger()

PENDING_LIMIT: Final = 10_000
"""Changes that may wait. Beyond that, browsers are told to read again."""
BATCH: Final = 200
HALF_A_BACKLOG: Final = BACKLOG // 2
LEDGER_INTERVAL: Final = 0.5
"""Seconds between two readings of the ledger, or as long as the last one took."""
READ_TIMEOUT: Final = 30.0

Source = Literal["photos", "steps", "sessions", "albums"]
Noted = tuple[Change, UUID]
"""The type of the message, and the id it is about."""

SOURCES: Final[Mapping[str, Source]] = {
    "photo.added": "photos",
    "photo.ready": "photos",
    "photo.failed": "photos",
    "photo.updated": "photos",
    "step.updated": "steps",
    "session.updated": "sessions",
    "album.updated": "albums",
}


def show_live_state(bus: Bus, hub: Hub) -> None:
    """Sends live state from the bus to browsers at once: it needs no reading."""
    bus.item_changed.listen(lambda item: hub.publish("item.updated", item))
    bus.item_progressed.listen(hub.progress)
    bus.queue_changed.listen(lambda status: hub.passing("queue.status", str(status.backend_id), status))


@dataclass(frozen=True)
class Readers:
    """Functions that read resources by id. Ids that no longer exist are left out."""

    photos: Callable[[Sequence[UUID]], Awaitable[Mapping[UUID, Photo]]]
    steps: Callable[[Sequence[UUID]], Awaitable[Mapping[UUID, Step]]]
    sessions: Callable[[Sequence[UUID]], Awaitable[Mapping[UUID, Session]]]
    albums: Callable[[Sequence[UUID]], Awaitable[Mapping[UUID, Album]]]
    ledger: Callable[[], Awaitable[Ledger]]
    backends: Callable[[], Awaitable[Sequence[Backend]]]
    """All backends, as their cards show them."""


class Announcer:
    """Nothing here waits: what the bus tells is noted, and `run` tells it to browsers. The whole ledger is sent, at
    most every 500 ms."""

    def __init__(self, hub: Hub, readers: Readers, bus: Bus) -> None:
        self._hub = hub
        self._readers = readers
        self._pending: dict[Noted, None] = {}
        self._changed = asyncio.Event()
        self._ledger_changed = asyncio.Event()
        self._changed_backends: dict[UUID, None] = {}
        self._backend_changed = asyncio.Event()
        bus.changed.listen(self._note)
        bus.too_much_changed.listen(hub.skip)
        bus.ledger_changed.listen(self._ledger_changed.set)
        bus.backend_changed.listen(self._note_backend)
        bus.settings_changed.listen(lambda names: hub.publish("settings.updated", SettingsUpdated(names=list(names))))
        bus.bulk_progress.listen(lambda progress: hub.passing("bulk.progress", progress.id, progress))
        show_live_state(bus, hub)

    async def run(self) -> None:
        """Sends pending changes, for ever (for the supervisor). Changes whose reading failed stay pending."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._tell_changes(), name="announce changes")
            tasks.create_task(self._tell_ledger(), name="announce ledger")
            tasks.create_task(self._tell_backends(), name="announce backends")

    def _note(self, type: Change, ids: Iterable[UUID]) -> None:
        for id in ids:
            # A change that is noted again moves to the end, so that the last message is the newest.
            self._pending.pop((type, id), None)
            self._pending[type, id] = None
        if len(self._pending) > PENDING_LIMIT:
            log.warning("too many changes to tell one by one", pending=len(self._pending))
            self._pending.clear()
            self._hub.skip()
            self._ledger_changed.set()  # a message that shows the gap, if no other follows
        self._changed.set()

    async def _tell_changes(self) -> None:
        while True:
            await self._changed.wait()
            if self._pending and not self._hub.client_count:
                # A feed that opens later begins with a newer snapshot. A browser that polls sees `seq` rise.
                self._hub.skip()
                self._pending.clear()
            batch = list(islice(self._pending, BATCH))
            if not batch:
                self._changed.clear()
                continue
            # Taken out first: a change during the reading is noted and read again.
            for change in batch:
                del self._pending[change]
            untold = dict.fromkeys(batch)
            try:
                resources = await self._read(batch)
                for told, change in enumerate(batch, start=1):
                    del untold[change]
                    self._tell(change, resources)
                    if told % HALF_A_BACKLOG == 0:
                        await asyncio.sleep(0)  # lets the writers run: else every browser's backlog would overflow
            except BaseException:
                self._pending = untold | self._pending
                raise

    async def _read(self, batch: Sequence[Noted]) -> dict[tuple[Source, UUID], Data]:
        wanted: dict[Source, dict[UUID, None]] = {}
        for type, id in batch:
            if type in SOURCES:
                wanted.setdefault(SOURCES[type], {})[id] = None
        found: dict[tuple[Source, UUID], Data] = {}
        for source, ids in wanted.items():
            async with asyncio.timeout(READ_TIMEOUT):
                resources: Mapping[UUID, Data] = await getattr(self._readers, source)(list(ids))
            found.update({(source, id): resource for id, resource in resources.items()})
        return found

    def _tell(self, change: Noted, resources: Mapping[tuple[Source, UUID], Data]) -> None:
        type, id = change
        source = SOURCES.get(type)
        if source is not None:
            resource = resources.get((source, id))
            if resource is not None:
                self._hub.publish(type, resource)
        elif type == "models.updated":
            self._hub.publish(type, ModelsUpdated(backend_id=id))
        else:
            self._hub.publish(type, Removed(id=id))

    async def _tell_ledger(self) -> None:
        while True:
            await self._ledger_changed.wait()
            self._ledger_changed.clear()
            began = time.monotonic()
            if self._hub.client_count:
                try:
                    async with asyncio.timeout(READ_TIMEOUT):
                        ledger = await self._readers.ledger()
                except BaseException:
                    self._ledger_changed.set()
                    raise
                self._hub.passing("ledger", None, ledger)
            await asyncio.sleep(max(LEDGER_INTERVAL, time.monotonic() - began))

    def _note_backend(self, backend_id: UUID) -> None:
        self._changed_backends[backend_id] = None
        self._backend_changed.set()

    async def _tell_backends(self) -> None:
        while True:
            await self._backend_changed.wait()
            self._backend_changed.clear()
            changed, self._changed_backends = self._changed_backends, {}
            if not self._hub.client_count:
                continue
            try:
                async with asyncio.timeout(READ_TIMEOUT):
                    backends = await self._readers.backends()
            except BaseException:
                self._changed_backends = changed | self._changed_backends
                self._backend_changed.set()
                raise
            for backend in backends:
                if backend.id in changed:
                    self._hub.passing("backend.status", str(backend.id), backend)
