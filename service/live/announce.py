"""From "this row has changed" to the message browsers get: whole resources, in the order of the changes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, Literal
from uuid import UUID

import structlog

from service.live.hub import BACKLOG, Hub
from service.live.messages import (
    Album,
    BulkProgress,
    Data,
    Ledger,
    ModelsUpdated,
    Photo,
    Removed,
    Session,
    SettingsUpdated,
    Step,
)

log = structlog.get_logger()

PENDING_LIMIT: Final = 10_000
"""Changes that may wait; beyond it browsers are told to refetch instead."""
BATCH: Final = 200
HALF_A_BACKLOG: Final = BACKLOG // 2
LEDGER_INTERVAL: Final = 0.5
LONGEST_LEDGER_INTERVAL: Final = 10.0
LEDGER_SHARE: Final = 0.05
"""Of the time; reading it counts every photo there is."""
READ_TIMEOUT: Final = 30.0

Source = Literal["photos", "steps", "sessions", "albums"]
Change = tuple[str, UUID]
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


@dataclass(frozen=True)
class Readers:
    """How resources are read; ids that no longer exist are left out of the answer."""

    photos: Callable[[Sequence[UUID]], Awaitable[Mapping[UUID, Photo]]]
    steps: Callable[[Sequence[UUID]], Awaitable[Mapping[UUID, Step]]]
    sessions: Callable[[Sequence[UUID]], Awaitable[Mapping[UUID, Session]]]
    albums: Callable[[Sequence[UUID]], Awaitable[Mapping[UUID, Album]]]
    ledger: Callable[[], Awaitable[Ledger]]


class Announcer:
    """Call after the commit. Nothing here waits: the changes are noted, and `run` tells them."""

    def __init__(self, hub: Hub, readers: Readers) -> None:
        self._hub = hub
        self._readers = readers
        self._pending: dict[Change, None] = {}
        self._changed = asyncio.Event()
        self._ledger_changed = asyncio.Event()

    def photos_added(self, ids: Iterable[UUID]) -> None:
        self._note("photo.added", ids)

    def photos_ready(self, ids: Iterable[UUID]) -> None:
        self._note("photo.ready", ids)

    def photos_failed(self, ids: Iterable[UUID]) -> None:
        self._note("photo.failed", ids)

    def photos_updated(self, ids: Iterable[UUID]) -> None:
        self._note("photo.updated", ids)

    def photos_removed(self, ids: Iterable[UUID]) -> None:
        self._note("photo.removed", ids)

    def leave_gap(self) -> None:
        """Too much has changed to be told: browsers see a gap, and read again."""
        self._hub.skip()

    def bulk_progress(self, progress: BulkProgress) -> None:
        """The last one of a call has `done` = `total`."""
        self._hub.passing("bulk.progress", progress.id, progress)

    def steps_updated(self, ids: Iterable[UUID]) -> None:
        self._note("step.updated", ids)

    def sessions_updated(self, ids: Iterable[UUID]) -> None:
        self._note("session.updated", ids)

    def sessions_removed(self, ids: Iterable[UUID]) -> None:
        self._note("session.removed", ids)

    def albums_updated(self, ids: Iterable[UUID]) -> None:
        self._note("album.updated", ids)

    def albums_removed(self, ids: Iterable[UUID]) -> None:
        self._note("album.removed", ids)

    def models_updated(self, backend_id: UUID) -> None:
        self._note("models.updated", (backend_id,))

    def settings_updated(self, names: Sequence[str]) -> None:
        self._hub.publish("settings.updated", SettingsUpdated(names=list(names)))

    def ledger_changed(self, _backend_id: UUID | None = None) -> None:
        """The whole ledger is sent, at most every 500 ms and seldomer in a large library, whichever backend's has
        changed."""
        self._ledger_changed.set()

    async def run(self) -> None:
        """Tell what is pending, for ever (for the supervisor). What a failed reading was about stays pending."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._tell_changes(), name="announce changes")
            tasks.create_task(self._tell_ledger(), name="announce ledger")

    def _note(self, type: str, ids: Iterable[UUID]) -> None:
        for id in ids:
            # A change noted again moves behind whatever was noted since, so that the last word is the newest.
            self._pending.pop((type, id), None)
            self._pending[type, id] = None
        if len(self._pending) > PENDING_LIMIT:
            log.warning("too many changes to tell one by one", pending=len(self._pending))
            self._pending.clear()
            self._hub.skip()
            self._ledger_changed.set()  # a message that shows the gap, should nothing else be told
        self._changed.set()

    async def _tell_changes(self) -> None:
        while True:
            await self._changed.wait()
            if self._pending and not self._hub.client_count:
                # A feed that opens later begins with a younger snapshot. A browser that polls sees `seq` rise.
                self._hub.skip()
                self._pending.clear()
            batch = list(islice(self._pending, BATCH))
            if not batch:
                self._changed.clear()
                continue
            # Taken out first: what changes again while we read has its turn, and a reading, of its own.
            for change in batch:
                del self._pending[change]
            untold = dict.fromkeys(batch)
            try:
                resources = await self._read(batch)
                for told, change in enumerate(batch, start=1):
                    del untold[change]
                    self._tell(change, resources)
                    if told % HALF_A_BACKLOG == 0:
                        await asyncio.sleep(0)  # writers take their turn, or every browser's backlog would overflow
            except BaseException:
                self._pending = untold | self._pending
                raise

    async def _read(self, batch: Sequence[Change]) -> dict[tuple[Source, UUID], Data]:
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

    def _tell(self, change: Change, resources: Mapping[tuple[Source, UUID], Data]) -> None:
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
            took = time.monotonic() - began
            await asyncio.sleep(min(max(LEDGER_INTERVAL, took / LEDGER_SHARE), LONGEST_LEDGER_INTERVAL))
