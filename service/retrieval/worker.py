"""The loop that claims due photos and has them fetched, a bounded number at a time (rule 9)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from uuid import UUID

import structlog

from service.database.engine import Database
from service.invokeai.client import InvokeClient
from service.live.announce import Announcer
from service.media.imaging import Imaging
from service.media.storage import LocalStorage
from service.retrieval import queue
from service.retrieval.faults import Faults
from service.retrieval.fetcher import Fetcher, Limits
from service.retrieval.queue import Claimed
from service.retrieval.sweep import take_back

log = structlog.get_logger()

LONGEST_WAIT = 60.0
SHORTEST_WAIT = 0.1
RENEW_TIMEOUT = 15.0


class Retrieval:
    """At most `workers` photos at once, each in a task of its own. Where several backends can be reached, none has them
    all: what a slow one sends keeps nothing of another's waiting.

    `clients` gives a backend's client, `reachable` the backends that may be asked now, `limits` the owner's settings.
    """

    lease_seconds = queue.LEASE_SECONDS

    def __init__(
        self,
        database: Database,
        storage: LocalStorage,
        imaging: Imaging,
        clients: Callable[[UUID], InvokeClient | None],
        reachable: Callable[[], Sequence[UUID]],
        *,
        announcer: Announcer,
        limits: Callable[[], Limits],
        workers: int,
    ) -> None:
        self._database = database
        self._storage = storage
        self._clients = clients
        self._reachable = reachable
        self._workers = workers
        self._faults = Faults()
        self._fetcher = Fetcher(database, storage, imaging, announcer, limits, self._faults)
        self._wake = asyncio.Event()
        self._reconnected: set[UUID] = set()
        self._working: dict[UUID, asyncio.Task[None]] = {}
        self._busy_with: Counter[UUID] = Counter()
        self._newest_first = False

    # --- What others tell us ---

    def wake(self) -> None:
        """Something may be due now."""
        self._wake.set()

    def reconnected(self, backend_id: UUID) -> None:
        """Everything that waits for this backend is due at once."""
        self._reconnected.add(backend_id)
        self.wake()

    @property
    def in_flight(self) -> int:
        return len(self._working)

    # --- The loop ---

    async def run(self) -> None:
        """Runs until cancelled (for the supervisor); what is being fetched then is released."""
        await take_back(self._database, self._storage, expired_only=False)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_leases(), name="retrieval leases")
            while True:
                self._wake.clear()
                await self._make_due()
                for claimed in await self._claim():
                    self._working[claimed.claim] = tasks.create_task(self._work(claimed), name=f"retrieve {claimed.id}")
                    self._working[claimed.claim].add_done_callback(partial(self._ended, claimed))
                    self._busy_with[claimed.backend_id] += 1
                with suppress(TimeoutError):
                    async with asyncio.timeout(await self._seconds_to_wait()):
                        await self._wake.wait()

    async def _make_due(self) -> None:
        while self._reconnected:
            backend_id = next(iter(self._reconnected))
            async with self._database.connection() as connection:
                await queue.make_due(connection, backend_id)
            self._reconnected.discard(backend_id)
            self._faults.reconnected(backend_id)

    async def _claim(self) -> list[Claimed]:
        """Fresh images first, as somebody watches them; every other time the longest due, so that nothing starves."""
        room = self._room()
        if not room:
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
        reachable = self._reachable()
        at_most = max(1, self._workers - 1) if len(reachable) > 1 else self._workers
        free = self._workers - len(self._working)
        rooms = {backend_id: min(free, at_most - self._busy_with[backend_id]) for backend_id in reachable}
        return {id: room for id, room in rooms.items() if room > 0 and not self._faults.pause_left(id)}

    async def _seconds_to_wait(self) -> float:
        """Until something is due, unless woken before; a worker that ends wakes us."""
        if len(self._working) >= self._workers:
            return LONGEST_WAIT
        waits = [pause for backend_id in self._reachable() if (pause := self._faults.pause_left(backend_id))]
        if room := self._room():
            async with self._database.connection() as connection:
                due = await queue.next_due(connection, list(room))
            waits += [] if due is None else [due]
        return max(SHORTEST_WAIT, min(waits, default=LONGEST_WAIT))

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
            await self._fetcher.bring_home(claimed, self._clients(claimed.backend_id))
        except Exception:
            # The outcome could not be written: the lease ends by itself, and the photo is tried again.
            log.exception("retrieval broke", photo=str(claimed.id))

    def _ended(self, claimed: Claimed, _: asyncio.Task[None]) -> None:
        del self._working[claimed.claim]
        self._busy_with[claimed.backend_id] -= 1
        self.wake()
