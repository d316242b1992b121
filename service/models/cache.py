"""The cache of each backend's models: read on connect, daily, after installs, and when asked."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import partial
from uuid import UUID

import structlog

from service.backends.registry import Registry
from service.bus.bus import Bus
from service.database.engine import Database
from service.errors import InvokeError, InvokeUnreachable
from service.models.rows import store_models
from service.runtime.backoff import Backoff
from service.runtime.waiting import wait_for_event

log = structlog.get_logger()

DEBOUNCE = 2.0
"""Seconds; an install of a starter bundle ends in many events."""
FIRST_RETRY, LONGEST_RETRY = 5.0, 300.0
REFRESH_TIMEOUT = 20.0
"""Seconds after which a client that waits gets an answer about a server that does not respond."""


class ModelCache:
    """Reads models of connected backends; `run` is to be supervised, the rest may be called at any time."""

    def __init__(self, database: Database, registry: Registry, bus: Bus, *, debounce: float = DEBOUNCE) -> None:
        self._database = database
        self._registry = registry
        self._bus = bus
        self._due: dict[UUID, float] = {}
        self._backoffs: dict[UUID, Backoff] = {}
        self._reading: set[UUID] = set()
        self._changed = asyncio.Event()
        bus.connected.listen(partial(self._read_in, 0))  # no step can be sent before the models are known
        bus.models_changed.listen(partial(self._read_in, debounce))  # after the last of many events

    async def run(self) -> None:
        """Reads what is due, each backend in its own task. A failed reading is tried again while it is connected."""
        clock = asyncio.get_running_loop().time
        self._reading.clear()
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._changed.clear()
                waiting = {id: at for id, at in self._due.items() if id not in self._reading}
                for backend_id in [id for id, at in waiting.items() if at <= clock()]:
                    del waiting[backend_id]
                    self._reading.add(backend_id)
                    task = tasks.create_task(self._read_or_retry(backend_id), name=f"models of {backend_id}")
                    task.add_done_callback(partial(self._has_read, backend_id))
                next_due = min(waiting.values(), default=None)
                await wait_for_event(self._changed, None if next_due is None else next_due - clock())

    def _has_read(self, backend_id: UUID, _: asyncio.Task[None]) -> None:
        self._reading.discard(backend_id)
        self._changed.set()

    async def refresh(self, backend_id: UUID) -> None:
        """Reads one backend's models now; raises an `InvokeError`."""
        client = self._registry.client(backend_id)
        if client is None:
            raise InvokeUnreachable("the backend is not connected")
        models = await client.models()
        async with self._database.transaction() as connection:
            if not await connection.fetchval("SELECT true FROM backends WHERE id = $1 FOR KEY SHARE", backend_id):
                return  # removed since
            changed = await store_models(connection, backend_id, models)
        if changed:
            self._bus.changed("models.updated", [backend_id])

    async def refresh_all(self, backend_ids: Iterable[UUID]) -> dict[UUID, str | None]:
        """Reads several backends' models at once: for each, None or what went wrong."""

        async def attempt(backend_id: UUID) -> str | None:
            try:
                async with asyncio.timeout(REFRESH_TIMEOUT):
                    await self.refresh(backend_id)
            except InvokeError as error:
                return str(error)
            except TimeoutError:
                self._read_in(0, backend_id)
                return f"no answer within {REFRESH_TIMEOUT:g} s; what it answers later is taken then"
            return None

        ids = list(backend_ids)
        return dict(zip(ids, await asyncio.gather(*map(attempt, ids)), strict=True))

    async def refresh_connected(self) -> None:
        """The daily reading."""
        async with self._database.connection() as connection:
            rows = await connection.fetch("SELECT id FROM backends WHERE enabled")
        for row in rows:
            if self._registry.client(row["id"]):
                self._read_in(0, row["id"])

    def _read_in(self, seconds: float, backend_id: UUID) -> None:
        self._backoffs.pop(backend_id, None)
        self._due[backend_id] = asyncio.get_running_loop().time() + seconds
        self._changed.set()

    async def _read_or_retry(self, backend_id: UUID) -> None:
        at = self._due[backend_id]
        pause: float | None = None
        try:
            await self.refresh(backend_id)
        except InvokeError as error:
            log.warning("models_not_read", backend_id=str(backend_id), error=str(error))
            if self._registry.client(backend_id) is not None:  # else it is read when it connects
                pause = self._next_pause(backend_id)
        except Exception:
            log.exception("models_not_read", backend_id=str(backend_id))  # ours, e.g. the database: the others go on
            pause = self._next_pause(backend_id)
        if self._due[backend_id] != at:
            return  # It has changed again since.
        if pause is None:
            del self._due[backend_id]
        else:
            self._due[backend_id] = asyncio.get_running_loop().time() + pause

    def _next_pause(self, backend_id: UUID) -> float:
        return self._backoffs.setdefault(backend_id, Backoff(FIRST_RETRY, LONGEST_RETRY)).next()
