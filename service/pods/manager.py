"""All pods: one watching task for each, and the owner's orders (stopped only when home)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from uuid import UUID

import aiohttp

from service.backends.connection import Parked
from service.backends.registry import Registry
from service.bus.bus import Bus
from service.config.runtime_settings import RuntimeSettings
from service.database.engine import Database
from service.errors import Conflict, NotFound
from service.pods import decide, rows
from service.pods.rows import Configured, PodRow
from service.pods.watch import Watch
from service.runtime.supervisor import Supervisor
from service.runtime.waiting import wait_for_event

FOLLOW_SECONDS = 30.0
"""Seconds between looks at the table when nothing asks for one."""
IS_ENABLED = "SELECT enabled FROM backends WHERE id = $1"
IS_BACKEND = "SELECT FROM backends WHERE id = $1"


class PodManager:
    """Keeps a supervised Watch for each row of `pods`. `run` has to be supervised, too."""

    def __init__(
        self,
        database: Database,
        registry: Registry,
        bus: Bus,
        supervisor: Supervisor,
        http: aiohttp.ClientSession,
        *,
        settings: RuntimeSettings,
    ) -> None:
        self._database = database
        self._registry = registry
        self._bus = bus
        self._supervisor = supervisor
        self._http = http
        self._settings = settings
        self._watches: dict[UUID, Watch] = {}
        self._tasks: dict[UUID, str] = {}
        self._woken = asyncio.Event()
        bus.submission_due.listen(self._work_changed)
        bus.connected.listen(lambda _: self._work_changed())

    # --- following the table ---

    async def load(self) -> None:
        """Reads what is known of the pods, so that nothing is tried at one that is stopped. Call it before connections
        begin."""
        async with self._database.connection() as connection:
            known = await rows.pod_rows(connection)
        for backend_id, row in known.items():
            why = decide.parked(row)
            self._registry.park(backend_id, Parked(why, decide.was_home(row)) if why is not None else None)

    async def run(self) -> None:
        while True:
            self._woken.clear()
            await self._follow()
            await wait_for_event(self._woken, FOLLOW_SECONDS)

    async def _follow(self) -> None:
        async with self._database.connection() as connection:
            present = {configured.backend_id: configured for configured in await rows.configured(connection)}
        for backend_id, watch in list(self._watches.items()):
            if watch.follow(present.get(backend_id)):
                continue
            await self._supervisor.stop(self._tasks[backend_id])
            del self._watches[backend_id], self._tasks[backend_id]
            if backend_id not in present:
                self._registry.park(backend_id, None)
        for backend_id in present.keys() - self._watches.keys():
            self._watch(present[backend_id])

    def _watch(self, configured: Configured) -> None:
        watch = Watch(
            configured,
            self._database,
            self._registry,
            self._bus,
            self._http,
            settings=self._settings,
        )
        name = f"{configured.name} [{str(configured.backend_id)[-6:]}]: pod"
        self._watches[configured.backend_id], self._tasks[configured.backend_id] = watch, name
        self._supervisor.start(name, watch.run)

    async def stop_watching(self) -> None:
        """Ends all watches. The next process judges orders that were sent."""
        for name in self._tasks.values():
            await self._supervisor.stop(name)

    # --- calls by other parts ---

    def wake(self, backend_id: UUID) -> None:
        """The pod's row was inserted, changed or removed."""
        self._woken.set()
        watch = self._watches.get(backend_id)
        if watch is not None:
            watch.wake()

    def _work_changed(self) -> None:
        """A step was made, retried, canceled or deleted."""
        for watch in self._watches.values():
            watch.wake()

    # --- the owner's orders ---

    async def start(self, backend_id: UUID) -> None:
        """The pod is to run; the order follows. Raises NotFound, and Conflict if there is no pod, it is switched off,
        it is being stopped, or a stop would lose what InvokeAI keeps."""

        async with self._database.connection() as connection:
            enabled = await connection.fetchval(IS_ENABLED, backend_id)

        def started(row: PodRow, now: datetime) -> PodRow:
            objection = decide.root_objection(row)
            if objection is not None:
                raise Conflict(f"it is not started: {objection}")
            if not enabled:
                raise Conflict("this server is switched off: switch it on first")
            if decide.is_stopping(row):
                raise Conflict("it is being stopped: start it once it has stopped")
            return decide.start(row, "owner", now)

        await self._order(backend_id, started)

    async def stop(self, backend_id: UUID, *, confirmed: bool) -> None:
        """The pod is to be stopped: at once when `confirmed`, else once everything is proved to be home. Raises
        NotFound, and Conflict if there is no pod."""
        async with self._database.connection() as connection:
            work = await rows.newest_work(connection, backend_id)
        await self._order(backend_id, lambda row, now: decide.stop(row, "owner", now, confirmed=confirmed, work=work))

    async def _order(self, backend_id: UUID, change: Callable[[PodRow, datetime], PodRow]) -> None:
        async with self._database.transaction() as connection:
            found = await rows.lock(connection, backend_id)
            if found is None:
                if await connection.fetchrow(IS_BACKEND, backend_id) is None:
                    raise NotFound("there is no such server")
                raise Conflict("this server is no rented machine: Darkroom cannot start or stop it")
            before, now = found
            after = decide.shown(change(before, now), now)
            await rows.write(connection, before, after)
        self._bus.backend_changed(backend_id)
        watch = self._watches.get(backend_id)
        if watch is not None:
            watch.wake(read=True, interrupt=True)
        self._woken.set()
