"""The studio's work at InvokeAI: for each backend a task that submits, one that cancels and one that sends sources.
Their state is in the tables, so they go on after a restart where they stopped."""

from __future__ import annotations

import asyncio
from typing import Final, NamedTuple
from uuid import UUID

import structlog

from service.backends.registry import Registry
from service.bus.bus import Bus
from service.database.engine import Database
from service.models.cache import ModelCache
from service.runtime.backoff import Backoff
from service.runtime.waiting import wait_for_event
from service.steps import submission
from service.studio.cancellation import Cancellation
from service.studio.source_pictures import SourcePictures
from service.studio.source_sender import SourceSender, refuse_purged_sources
from service.studio.submitter import BackendSubmitter

log = structlog.get_logger()

IDLE: Final = 30.0
"""Seconds between looks at the tables when nothing asks for one."""
FIRST_PAUSE: Final = 0.5
"""Seconds after a turn that failed on our side, e.g. without the database."""

_Part = BackendSubmitter | Cancellation | SourceSender
"""Each has `woken`, and a `turn` that does what is due and returns the seconds until something is due again."""


class _Backend(NamedTuple):
    """One backend's tasks: a slow backend holds up no other, a slow POST no cancel, and a slow upload neither."""

    submitter: BackendSubmitter
    cancellation: Cancellation
    sources: SourceSender
    tasks: list[asyncio.Task[None]]


class StudioWorker:
    """The tasks of each backend; `run` is to be supervised."""

    def __init__(
        self,
        database: Database,
        registry: Registry,
        bus: Bus,
        models: ModelCache,
        pictures: SourcePictures,
        *,
        grace: float = submission.GRACE,
    ) -> None:
        self._database = database
        self._registry = registry
        self._bus = bus
        self._models = models
        self._pictures = pictures
        self._grace = grace
        self._backends: dict[UUID, _Backend] = {}
        self._woken = asyncio.Event()
        bus.submission_due.listen(self._wake)
        bus.connected.listen(lambda _: self._wake())
        bus.batch_seen.listen(self._batch_seen)
        bus.came_home.listen(self._came_home)

    @property
    def backends(self) -> list[UUID]:
        """Backends that have tasks."""
        return list(self._backends)

    async def run(self) -> None:
        try:
            while True:
                self._woken.clear()
                await self._follow_backends()
                await refuse_purged_sources(self._database, self._bus)
                await wait_for_event(self._woken, IDLE)
        finally:
            for backend_id in list(self._backends):
                await self._end(backend_id)

    async def _follow_backends(self) -> None:
        """Begins with each backend that is new, ends with each that was removed."""
        async with self._database.connection() as connection:
            present = {row["id"] for row in await connection.fetch("SELECT id FROM backends")}
        for backend_id in present - self._backends.keys():
            self._begin(backend_id)
        for backend_id in self._backends.keys() - present:
            await self._end(backend_id)

    def _begin(self, backend_id: UUID) -> None:
        common = backend_id, self._database, self._registry, self._bus
        submitter = BackendSubmitter(*common, self._models, grace=self._grace)
        cancellation = Cancellation(backend_id, self._database, self._registry)
        sources = SourceSender(*common, self._pictures, grace=self._grace)
        # A step may have been canceled during its POST. What had no effect is prepared again, and may need its source.
        submitter.settled.listen(cancellation.woken.set)
        submitter.settled.listen(sources.woken.set)
        sources.settled.listen(submitter.woken.set)
        parts: dict[str, _Part] = {"submit": submitter, "cancel": cancellation, "sources": sources}
        tasks = [
            asyncio.create_task(self._keep_on(backend_id, part), name=f"{name} {backend_id}")
            for name, part in parts.items()
        ]
        self._backends[backend_id] = _Backend(submitter, cancellation, sources, tasks)

    async def _end(self, backend_id: UUID) -> None:
        """Ends the tasks. A batch that is being sent stays posted, and the next start polls for it."""
        backend = self._backends.pop(backend_id)
        for task in backend.tasks:
            task.cancel()
        await asyncio.gather(*backend.tasks, return_exceptions=True)
        await backend.sources.close()

    async def _keep_on(self, backend_id: UUID, part: _Part) -> None:
        """Turn after turn: at once when there is more to do, else when woken or when the next is due."""
        backoff = Backoff(FIRST_PAUSE, submission.LONGEST_RETRY)
        while True:
            part.woken.clear()
            pause: float | None = None
            try:
                client = self._registry.client(backend_id)
                if client is not None:
                    pause = await part.turn(client)
                backoff.reset()
            except Exception:
                log.exception("submission_failed", backend=str(backend_id))
                pause = backoff.next()
            await wait_for_event(part.woken, IDLE if pause is None else min(pause, IDLE))

    def _wake(self) -> None:
        """Wakes all tasks: something may be possible now that was not before."""
        for backend in self._backends.values():
            backend.submitter.wake()
            backend.cancellation.woken.set()
            backend.sources.wake()
        self._woken.set()

    def _batch_seen(self, backend_id: UUID, batch_id: str) -> None:
        backend = self._backends.get(backend_id)
        if backend is not None:
            backend.submitter.batch_seen(batch_id)
            backend.cancellation.batch_seen(batch_id)

    def _came_home(self, photo_id: UUID) -> None:
        for backend in self._backends.values():
            backend.sources.came_home(photo_id)
