"""Item readings (rule 1): what REST says of the queue, put through the same consumer as the events."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TypeVar
from uuid import UUID

import structlog

from service.correlation import items as rows
from service.correlation.consumer import (
    Consumer,
    ForeignItems,
    ItemAbsence,
    ItemReading,
    UnseenItems,
)
from service.correlation.correlate import ABSENCE, Absence
from service.correlation.items import Unseen, Unsettled
from service.database.engine import Database
from service.errors import InvokeError
from service.invokeai.client import InvokeClient
from service.invokeai.events import REDACTED, ItemSummary

log = structlog.get_logger()
T = TypeVar("T")

QUIET = 60.0
"""Seconds after which unsettled work is read though nobody asked."""
GATHER = 0.05
"""Seconds to gather requests into one: items end in bursts."""
CHUNK = 25
"""Whole items a request: 21 KB each (FACTS §5)."""
RECENT = 1000
"""How many of the newest unknown ids are looked at; further back only while items of ours are missing."""
SEEN_LIMIT = 20_000


class Reconciler:
    """Reads items of one backend: those asked for, and on request the whole queue."""

    def __init__(
        self,
        backend_id: UUID,
        client: InvokeClient,
        consumer: Consumer,
        database: Database,
        *,
        gallery_read_from: Callable[[], datetime | None],
        request_gallery: Callable[[], None],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.backend_id = backend_id
        self.read_from: datetime | None = None
        """When, on our clock, the last complete reading of everything began."""
        self._client = client
        self._consumer = consumer
        self._database = database
        self._gallery_read_from = gallery_read_from
        self._request_gallery = request_gallery
        self._clock = clock
        self._asked: set[int] = set()
        self._everything = False
        self._reconnected = False
        self._absent = False
        self._ended_ids: dict[int, None] = {}
        """Ids found ended and not ours: not to be looked at again."""
        self._wake = asyncio.Event()
        self._due_at: float | None = None
        """When, on the loop's clock, everything is read though nobody asked; None before the first reading."""

    def request(self, item_ids: Sequence[int] = ()) -> None:
        """Asks for these items soon, or for everything."""
        self._asked.update(item_ids)
        self._everything = self._everything or not item_ids or len(self._asked) > RECENT
        self._wake.set()

    def reconnected(self) -> None:
        """Events may have been missed: everything is read, and ends found now were announced to nobody."""
        self._reconnected = True
        self._ended_ids.clear()  # ids restart with a new InvokeAI database
        self.request()

    async def run(self) -> None:
        """Supervised. A failed reading is tried again, less and less often; nothing asked for is forgotten."""
        wait = 1.0
        while True:
            await self._until_asked_or_due()
            try:
                await self._read()
                wait = 1.0
            except InvokeError as error:
                log.info("reading_failed", backend_id=str(self.backend_id), error=str(error), seconds=wait)
                await asyncio.sleep(wait * random.uniform(0.8, 1.2))
                wait = min(wait * 2, QUIET)
                self._wake.set()

    async def _until_asked_or_due(self) -> None:
        """Being asked for single items, however often, never puts off the reading of everything."""
        try:
            async with asyncio.timeout_at(self._due_at):
                await self._wake.wait()
            await asyncio.sleep(GATHER)
        except TimeoutError:
            self._put_off()
            if await self._something_expected():
                self._everything = True
        self._wake.clear()

    def _put_off(self) -> None:
        """Something absent is looked for again as soon as that can prove anything (rule 8)."""
        seconds = ABSENCE.total_seconds() + 1 if self._absent else QUIET
        self._due_at = asyncio.get_running_loop().time() + seconds * random.uniform(1, 1.1)

    async def _something_expected(self) -> bool:
        async with self._database.connection() as connection:
            ours = await rows.unsettled(connection, self.backend_id) or await rows.unseen(connection, self.backend_id)
        return bool(ours) or self._consumer.tracking.foreign_live > 0

    async def _read(self) -> None:
        everything, reconnected, asked = self._everything, self._reconnected, self._asked
        # Taken before the reading: what is asked for while it runs is asked of the next one.
        self._everything, self._reconnected, self._asked = False, False, set()
        try:
            if everything:
                await self.read_everything(across_reconnect=reconnected)
                self._put_off()
            elif asked:
                await self._read_items(sorted(asked))
        except BaseException:
            self._everything = self._everything or everything
            self._reconnected = self._reconnected or reconnected
            self._asked |= asked
            raise

    async def _read_items(self, item_ids: list[int], across_reconnect: bool = False) -> None:
        for chunk in _chunks(item_ids, CHUNK):
            for item in await self._client.items(chunk):
                await self._consumer.put(ItemReading(item, across_reconnect))

    async def read_everything(self, *, across_reconnect: bool = False) -> None:
        """All of ours that is unsettled, what of ours is unknown, and what is live of others. Raises InvokeError."""
        began = self._clock()
        async with self._database.connection() as connection:
            unsettled = [reading for _, reading in await rows.unsettled(connection, self.backend_id)]
        await self._read_unsettled(unsettled, began, across_reconnect)
        ids = await self._client.item_ids()
        known = {reading.item_id for reading in unsettled}
        await self._consumer.settle_queue()
        complete = await self._discover(ids, known, across_reconnect)
        await self._consumer.settle_queue()
        async with self._database.connection() as connection:
            unseen = await rows.unseen(connection, self.backend_id)
        if complete:
            await self._miss(unseen, began)
        await self._consumer.settle_queue()
        await self._note_absent()
        self.read_from = began

    async def _read_unsettled(self, unsettled: list[Unsettled], began: datetime, across_reconnect: bool) -> None:
        for chunk in _chunks([reading for reading in unsettled if reading.item_id >= 0], CHUNK):
            found = {item.item_id: item for item in await self._client.items([reading.item_id for reading in chunk])}
            for reading in chunk:
                item = found.get(reading.item_id)
                if item is not None and item.batch_id == reading.batch_id:
                    await self._consumer.put(ItemReading(item, across_reconnect))
                else:  # not there, or another item's id in a new InvokeAI database
                    absence = self._absence(began, reading.answered_at)
                    await self._consumer.put(ItemAbsence(reading.batch_id, reading.item_id, absence))

    async def _discover(self, ids: list[int], known: set[int], across_reconnect: bool) -> bool:
        """Looks at ids we know nothing of, newest first; True when it went all the way back, or had no reason to."""
        async with self._database.connection() as connection:
            missing = bool(await rows.unseen(connection, self.backend_id))
        unknown = [item_id for item_id in reversed(ids) if item_id not in known and item_id not in self._ended_ids]
        looked_at = unknown if missing else unknown[:RECENT]
        live: set[int] = set(known)
        for chunk in _chunks(looked_at, 200):
            summaries = await self._client.summaries(chunk)
            ours = [summary.item_id for summary in summaries if await self._is_ours(summary)]
            await self._read_items(sorted(ours), across_reconnect)
            for summary in summaries:
                if summary.item_id in ours:
                    continue
                if summary.status in ("completed", "failed", "canceled"):
                    self._remember_ended(summary.item_id)
                elif REDACTED not in (summary.user_id, summary.batch_id):
                    live.add(summary.item_id)
                    await self._consumer.put(ItemReading(summary, across_reconnect))
        newest = None if across_reconnect else max(ids, default=0)
        await self._consumer.put(ForeignItems(frozenset(live), newest))
        return missing or len(looked_at) == len(unknown)

    async def _is_ours(self, summary: ItemSummary) -> bool:
        if summary.origin != rows.ORIGIN or not (summary.destination or "").startswith(rows.DESTINATION):
            return False
        async with self._database.connection() as connection:
            if await rows.our_batch(connection, self.backend_id, summary.batch_id) is None:
                return False
            stored = await rows.our_item(connection, summary.batch_id, summary.item_id)
        if stored is not None and stored.known.settled:
            self._remember_ended(summary.item_id)
            return False
        return True

    async def _miss(self, unseen: list[Unseen], began: datetime) -> None:
        for batch in unseen:
            absence = self._absence(began, batch.answered_at)
            await self._consumer.put(UnseenItems(batch.batch_id, batch.missing, absence))

    async def _note_absent(self) -> None:
        """Whether something is missing: then a gallery reading comes between this reading and the next (rule 8)."""
        async with self._database.connection() as connection:
            unsettled = await rows.unsettled(connection, self.backend_id)
        self._absent = any(item.known.absent_since is not None for item, _ in unsettled)
        if self._absent:
            self._request_gallery()

    def _absence(self, began: datetime, answered_at: datetime | None) -> Absence:
        return Absence(
            began_at=began,
            known_at=self._clock(),
            answered_at=answered_at,
            gallery_read_from=self._gallery_read_from(),
        )

    def _remember_ended(self, item_id: int) -> None:
        self._ended_ids[item_id] = None
        while len(self._ended_ids) > SEEN_LIMIT:
            del self._ended_ids[next(iter(self._ended_ids))]


def _chunks(values: list[T], size: int) -> list[list[T]]:
    return [values[start : start + size] for start in range(0, len(values), size)]
