"""When items are read (rule 1): when asked for, after every reconnect, and when it was quiet too long."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

import structlog

from service.correlation import items as rows
from service.correlation.consumer import Consumer
from service.correlation.correlate import ABSENCE
from service.correlation.identity import Identity
from service.correlation.queue_reading import QueueReading
from service.database.engine import Database
from service.errors import InvokeError
from service.invokeai.client import InvokeClient
from service.waiting import happened

log = structlog.get_logger()

QUIET = 60.0
"""Seconds after which unsettled work is read though nobody asked."""
GATHER = 0.05
"""Seconds to gather requests into one: items end in bursts."""
SOON = 2.0
"""Seconds in which any number of batches enqueued by others lead to one reading."""
MOST_ASKED = 1000
"""Items asked for one by one; beyond it everything is read."""
FIRST_WAIT = 1.0
"""Seconds after a reading that failed; doubled up to QUIET, and over when the socket is back."""


@dataclass(frozen=True)
class Wanted:
    """What the next reading is to cover; false when it is nothing."""

    everything: bool = False
    items: frozenset[int] = frozenset()
    reconnected: bool = False
    """Events may have been missed since the last one."""

    def __bool__(self) -> bool:
        return self.everything or bool(self.items)

    def __or__(self, other: Wanted) -> Wanted:
        items = self.items | other.items
        everything = self.everything or other.everything or len(items) > MOST_ASKED
        return Wanted(everything, frozenset() if everything else items, self.reconnected or other.reconnected)


class Reconciler:
    """Reads items of one backend: those asked for, and on request the whole queue."""

    def __init__(
        self,
        backend_id: UUID,
        client: InvokeClient,
        consumer: Consumer,
        database: Database,
        *,
        gallery_read_from: Callable[[], float | None],
        request_gallery: Callable[[], None],
        identity: Identity,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.backend_id = backend_id
        self.read_from: float | None = None
        """When, on the process's monotonic clock, the last complete reading of everything began."""
        self._consumer = consumer
        self._database = database
        self._reading = QueueReading(
            backend_id,
            client,
            consumer,
            database,
            gallery_read_from=gallery_read_from,
            identity=identity,
            clock=clock,
        )
        self._identity = identity
        self._request_gallery = request_gallery
        self._clock = clock
        self._wanted = Wanted()
        self._connection_read: int | None = None
        """The connection, by the consumer's count, during which everything was last read."""
        self._absent = False
        self._wake = asyncio.Event()
        self._back = asyncio.Event()
        self._soon: asyncio.TimerHandle | None = None
        self._due_at: float | None = None
        """When, on the loop's clock, everything is read though nobody asked; None before the first reading."""

    def request(self, item_ids: Sequence[int] = ()) -> None:
        """Asks for these items soon, or for everything."""
        self._want(Wanted(everything=not item_ids, items=frozenset(item_ids)))

    def request_soon(self) -> None:
        """Asks for everything within SOON, however often it is called."""
        loop = asyncio.get_running_loop()
        if self._soon is None or self._soon.when() <= loop.time():
            self._soon = loop.call_later(SOON, self.request)

    def reconnected(self) -> None:
        """Events may have been missed: everything is read, and ends found now were announced to nobody."""
        self._reading.forget_ids()
        self._back.set()
        self._want(Wanted(everything=True, reconnected=True))

    async def run(self) -> None:
        """Supervised. A failed reading is tried again, less and less often; nothing asked for is forgotten."""
        wait = FIRST_WAIT
        if self._wanted:
            self._wake.set()
        while True:
            await self._until_asked_or_due()
            self._back.clear()
            try:
                await self._read()
                wait = FIRST_WAIT
            except InvokeError as error:
                log.info("reading_failed", backend_id=str(self.backend_id), error=str(error), seconds=wait)
                came_back = await happened(self._back, wait * random.uniform(0.8, 1.2))
                wait = FIRST_WAIT if came_back else min(wait * 2, QUIET)
                self._wake.set()

    async def _until_asked_or_due(self) -> None:
        """Being asked for single items, however often, never puts off the reading of everything."""
        left = None if self._due_at is None else self._due_at - asyncio.get_running_loop().time()
        if await happened(self._wake, left):
            await asyncio.sleep(GATHER)
        else:
            self._put_off()
            if await self._something_expected():
                self._wanted |= Wanted(everything=True)
        self._wake.clear()

    def _want(self, more: Wanted) -> None:
        self._wanted |= more
        self._wake.set()

    def _put_off(self) -> None:
        """Something absent is looked for again as soon as that can prove anything (rule 8)."""
        seconds = min(QUIET, ABSENCE + 1) if self._absent else QUIET
        self._due_at = asyncio.get_running_loop().time() + seconds * random.uniform(1, 1.1)

    async def _something_expected(self) -> bool:
        async with self._database.connection() as connection:
            ours = await rows.unsettled(connection, self.backend_id) or await rows.unseen(connection, self.backend_id)
        return bool(ours) or self._consumer.tracking.foreign_live > 0

    async def _read(self) -> None:
        self._identity.require()
        # Taken before the reading: what is asked for while it runs is asked of the next one.
        wanted, self._wanted = self._wanted, Wanted()
        connection = self._consumer.connection
        try:
            if wanted.everything:
                # REST may be back before the socket is: what ended since the last connection was announced to nobody.
                across = wanted.reconnected or connection != self._connection_read
                await self.read_everything(across_reconnect=across)
                self._connection_read = connection
                self._put_off()
            elif wanted.items:
                await self._reading.some(sorted(wanted.items))
        except BaseException:
            self._wanted |= wanted
            raise

    async def read_everything(self, *, across_reconnect: bool = False) -> None:
        """The whole queue, as far as it can matter. Raises InvokeError."""
        began = self._clock()
        if await self._reading.everything(across_reconnect=across_reconnect):
            self.read_from = began
        async with self._database.connection() as connection:
            unsettled = await rows.unsettled(connection, self.backend_id)
        self._absent = any(item.absent for item, _ in unsettled)
        if self._absent:
            self._request_gallery()  # so that one comes between this reading and the next (rule 8)
