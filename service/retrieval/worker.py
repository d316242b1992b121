"""Claims due photos and retrieves them, a bounded number at a time (retrieval in the table)."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Protocol
from uuid import UUID

import structlog

from service.bus.bus import Bus
from service.config.runtime_settings import RuntimeSettings
from service.database.engine import Database
from service.invokeai.client import InvokeClient
from service.media.imaging import Imaging
from service.media.storage import LocalStorage
from service.photos.retries import retry_failed
from service.retrieval import queue
from service.retrieval.evidence import Evidence
from service.retrieval.faults import Faults, Timing
from service.retrieval.fetcher import Fetcher
from service.retrieval.queue import Claimed
from service.retrieval.sweep import take_back
from service.runtime.waiting import wait_for_event

log = structlog.get_logger()

LONGEST_WAIT = 60.0
SHORTEST_WAIT = 0.1
RENEW_TIMEOUT = 15.0
DAY = 86_400.0


class Servers(Protocol):
    """The registry of backends."""

    def client(self, backend_id: UUID) -> InvokeClient | None: ...
    def reachable(self) -> Sequence[UUID]:
        """Servers whose photos may be claimed now."""
        ...


class Retrieval:
    """Retrieves at most `workers` photos at once, each in its own task. If several backends can be reached, none has
    all workers: a slow one keeps no other's photos waiting."""

    lease_seconds = queue.LEASE_SECONDS

    def __init__(  # noqa: PLR0913 (what it works with, and its timing)
        self,
        database: Database,
        storage: LocalStorage,
        imaging: Imaging,
        servers: Servers,
        bus: Bus,
        *,
        settings: RuntimeSettings,
        workers: int,
        under_way: set[UUID] | None = None,
        timing: Timing | None = None,
    ) -> None:
        """`under_way` has the tokens of the files that are being received, which are the claims here."""
        self._database = database
        self._storage = storage
        self._servers = servers
        self._workers = workers
        self._bus = bus
        self._timing = timing or Timing()
        self._faults = Faults(Evidence(database), bus, self._timing)
        self._fetcher = Fetcher(database, storage, imaging, bus, settings, self._faults)
        self._wake = asyncio.Event()
        self._reconnected: set[UUID] = set()
        self._failed_due: set[UUID] = set()
        """Backends whose failed photos get one more attempt."""
        self._failed_retried_at: dict[UUID, float] = {}
        self._working: dict[UUID, asyncio.Task[None]] = {}
        self._under_way = under_way if under_way is not None else set()
        self._is_closing = False
        self._busy_with: Counter[UUID] = Counter()
        self._newest_first = False
        bus.retrieval_due.listen(self.wake)
        bus.connected.listen(self.reconnected)
        bus.gone_confirmed.listen(self._faults.forget_missing)

    # --- Calls by other parts ---

    def wake(self) -> None:
        """Something may be due now."""
        self._wake.set()

    def reconnected(self, backend_id: UUID) -> None:
        """Everything that waits for this backend is due at once, and what failed has one attempt."""
        self._reconnected.add(backend_id)
        self._failed_due.add(backend_id)
        self.wake()

    @property
    def in_flight(self) -> int:
        return len(self._working)

    def stop_claiming(self) -> None:
        self._is_closing = True

    async def drain(self, seconds: float) -> bool:
        """Whether everything that was claimed has ended within `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                while self._working:
                    await asyncio.wait(self._working.values())
        except TimeoutError:
            return False
        return True

    # --- The loop ---

    async def run(self) -> None:
        """Runs until cancelled (for the supervisor); what is being fetched then is released."""
        await take_back(self._database, self._storage, expired_only=False)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_leases(), name="retrieval leases")
            while True:
                self._wake.clear()
                await self._make_due()
                await self._retry_failed()
                for claimed in await self._claim():
                    self._under_way.add(claimed.claim)
                    self._working[claimed.claim] = tasks.create_task(self._work(claimed), name=f"retrieve {claimed.id}")
                    self._working[claimed.claim].add_done_callback(partial(self._ended, claimed))
                    self._busy_with[claimed.backend_id] += 1
                await wait_for_event(self._wake, await self._seconds_to_wait())

    async def _make_due(self) -> None:
        while self._reconnected:
            backend_id = next(iter(self._reconnected))
            async with self._database.connection() as connection:
                await queue.make_due(connection, backend_id)
            self._reconnected.discard(backend_id)
            self._faults.reconnected(backend_id)

    async def _retry_failed(self) -> None:
        """Gives failed photos one more attempt, with a bound on how often for a backend that reconnects again and
        again. A backend whose files come whole again counts as one that has reconnected."""
        while self._faults.healed:
            self._failed_due.add(self._faults.healed.pop())
        for backend_id in list(self._failed_due):
            if self._gap_left(backend_id) <= 0:
                self._failed_retried_at[backend_id] = time.monotonic()
                await self._retry(backend_id)
                self._failed_due.discard(backend_id)

    def _gap_left(self, backend_id: UUID) -> float:
        last = self._failed_retried_at.get(backend_id)
        return 0.0 if last is None else last + self._timing.reconnect_gap - time.monotonic()

    async def retry_daily(self) -> None:
        """For the supervisor, more often than daily: what failed and was not tried for a day has one attempt."""
        for backend_id in self._servers.reachable():
            await self._retry(backend_id, untried_for=DAY)

    async def _retry(self, backend_id: UUID, *, untried_for: float | None = None) -> None:
        if retried := await retry_failed(self._database, backend_id, untried_for=untried_for):
            log.info("failed photos are tried once more", backend_id=str(backend_id), photos=len(retried))
            self._bus.changed("photo.updated", retried)
            self._bus.ledger_changed()
            self.wake()

    async def _claim(self) -> list[Claimed]:
        """Claims photos: fresh images first, since somebody may watch them; every other time the longest due, so that
        none starves."""
        room = self._room()
        if not room or self._is_closing:
            return []
        self._newest_first = not self._newest_first
        async with self._database.connection() as connection:
            return await queue.claim(
                connection,
                list(room),
                self._workers - len(self._working),
                of_each=list(room.values()),
                newest_first=self._newest_first,
                lease_seconds=self.lease_seconds,
            )

    def _room(self) -> dict[UUID, int]:
        """The backends something may be claimed of now, and how many workers each may have more."""
        reachable = self._servers.reachable()
        at_most = max(1, self._workers - 1) if len(reachable) > 1 else self._workers
        free = self._workers - len(self._working)
        rooms = {
            backend_id: min(
                free, (1 if self._faults.is_on_trial(backend_id) else at_most) - self._busy_with[backend_id]
            )
            for backend_id in reachable
        }
        return {id: room for id, room in rooms.items() if room > 0 and not self._faults.pause_left(id)}

    async def _seconds_to_wait(self) -> float:
        """Seconds until something is due; a wake-up or the end of a worker comes first."""
        if len(self._working) >= self._workers:
            return LONGEST_WAIT
        waits = [pause for backend_id in self._servers.reachable() if (pause := self._faults.pause_left(backend_id))]
        waits += [self._gap_left(backend_id) for backend_id in self._failed_due]
        await self._forget_troubles()
        if room := self._room():
            async with self._database.connection() as connection:
                due = await queue.next_due(connection, list(room))
            waits += [] if due is None else [due]
        return max(SHORTEST_WAIT, min(waits, default=LONGEST_WAIT))

    async def _forget_troubles(self) -> None:
        """Clears troubles of servers for which nothing waits any more: no download will end them."""
        for backend_id in self._faults.suspected:
            if not self._busy_with[backend_id]:
                async with self._database.connection() as connection:
                    if await queue.next_due(connection, [backend_id]) is None:
                        self._faults.reconnected(backend_id)

    async def _keep_leases(self) -> None:
        while True:
            await asyncio.sleep(self.lease_seconds / 3)
            claims = list(self._working)
            if not claims:
                continue
            try:
                async with asyncio.timeout(RENEW_TIMEOUT), self._database.connection() as connection:
                    held = await queue.renew(connection, claims, self.lease_seconds)
            except Exception:
                # The leases outlast two more tries.
                log.warning("leases not renewed", exc_info=True)
                continue
            for claim in claims:
                if claim not in held and (task := self._working.get(claim)):
                    task.cancel("its lease is lost")

    async def _work(self, claimed: Claimed) -> None:
        try:
            await self._fetcher.retrieve(claimed, self._servers.client(claimed.backend_id))
        except Exception:
            # The outcome could not be written: the lease ends by itself, and the photo is tried again.
            log.exception("retrieval broke", photo=str(claimed.id))

    def _ended(self, claimed: Claimed, _: asyncio.Task[None]) -> None:
        del self._working[claimed.claim]
        self._under_way.discard(claimed.claim)
        self._busy_with[claimed.backend_id] -= 1
        self.wake()
