"""One reading of a queue by REST (rule 1), put through the consumer like everything else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar
from uuid import UUID

from service.correlation import items as rows
from service.correlation.consumer import Consumer
from service.correlation.correlate import TERMINAL, Absence
from service.correlation.entries import ForeignGone, ItemAbsence, ItemReading, Key, UnseenItems
from service.correlation.identity import Identity
from service.correlation.items import Unseen, Unsettled
from service.database.engine import Database
from service.invokeai.client import InvokeClient
from service.invokeai.events import REDACTED, ItemSummary

T = TypeVar("T")

CHUNK = 25
"""Whole items a request: 21 KB each (FACTS §5)."""
SUMMARIES = 200
RECENT = 1000
"""How many of the newest unknown ids are looked at; further back only while items of ours are missing."""
ENDED_LIMIT = 20_000


class QueueReading:
    """Reads items of one backend: some, or all that can matter."""

    def __init__(
        self,
        backend_id: UUID,
        client: InvokeClient,
        consumer: Consumer,
        database: Database,
        *,
        gallery_read_from: Callable[[], float | None],
        identity: Identity,
        clock: Callable[[], float],
    ) -> None:
        self._backend_id = backend_id
        self._client = client
        self._consumer = consumer
        self._database = database
        self._gallery_read_from = gallery_read_from
        self._identity = identity
        self._clock = clock
        self._ended: dict[int, None] = {}
        """Ids of which nothing more is expected: not to be looked at again."""

    def forget_ids(self) -> None:
        """Ids restart with a new InvokeAI database."""
        self._ended.clear()

    async def some(self, item_ids: Sequence[int], *, across_reconnect: bool = False) -> None:
        """These items whole. Raises InvokeError."""
        for chunk in _chunks(item_ids, CHUNK):
            for item in await self._client.items(chunk):
                await self._consumer.put(ItemReading(item, across_reconnect))

    async def everything(self, *, across_reconnect: bool = False) -> bool:
        """All of ours that is unsettled, what of ours is unknown, and what is live of others; False when not all of it
        could be kept. Raises InvokeError; absence is proved only by a reading that got to its end, of a server that was
        recognised after that."""
        began, failures = self._clock(), self._consumer.failures
        shown = self._consumer.tracking.foreign_keys
        async with self._database.connection() as connection:
            # What has its answer by now was answered before InvokeAI is asked: no clock needs to tell.
            unsettled = [reading for _, reading in await rows.unsettled(connection, self._backend_id)]
            answered = {batch.batch_id for batch in await rows.unseen(connection, self._backend_id)}
        found, strangers = await self._unsettled(unsettled, across_reconnect)
        ids = await self._client.item_ids()
        known_at = self._clock()
        await self._consumer.settle_queue()
        to_the_end, lost = await self._discover(ids, {item_id for _, item_id in found}, shown, across_reconnect)
        there = set(ids) - strangers
        absent = [
            item
            for item in unsettled
            if item.item_id >= 0 and (item.batch_id, item.item_id) not in found and item.item_id not in there
        ]
        if absent or lost:
            await self._identity.confirm()
        await self._consumer.put(ForeignGone(lost))
        for item in absent:
            absence = self._absence(began, known_at, after_answer=item.answered)
            await self._consumer.put(ItemAbsence(item.batch_id, item.item_id, absence))
        await self._consumer.settle_queue()
        if to_the_end:
            await self._miss(answered, self._absence(began, known_at, after_answer=True))
        status = await self._client.queue_status()
        self._consumer.show_queue(status.pending, status.in_progress)
        return self._consumer.failures == failures

    async def _unsettled(self, unsettled: list[Unsettled], across_reconnect: bool) -> tuple[set[Key], set[int]]:
        """Reads them; returns those that are there, and the ids another item has, in a new InvokeAI database."""
        found: set[Key] = set()
        strangers: set[int] = set()
        for chunk in _chunks([reading for reading in unsettled if reading.item_id >= 0], CHUNK):
            wanted = {(reading.batch_id, reading.item_id) for reading in chunk}
            for item in await self._client.items([reading.item_id for reading in chunk]):
                if (item.batch_id, item.item_id) in wanted:
                    found.add((item.batch_id, item.item_id))
                    await self._consumer.put(ItemReading(item, across_reconnect))
                else:
                    strangers.add(item.item_id)
        return found, strangers

    async def _discover(
        self, ids: list[int], read: set[int], shown: frozenset[Key], across_reconnect: bool
    ) -> tuple[bool, frozenset[Key]]:
        """Looks at the ids nobody has told us of, newest first, and at other people's items that are shown. Returns
        whether it went all the way back, or had no reason to, and which of the shown ones it did not find."""
        missing = bool(await self._unseen())
        shown_ids = {item_id for _, item_id in shown}
        unknown = [item_id for item_id in reversed(ids) if item_id not in read and item_id not in self._ended]
        looked_at = [item_id for k, item_id in enumerate(unknown) if missing or k < RECENT or item_id in shown_ids]
        there: set[Key] = set()
        for chunk in _chunks(looked_at, SUMMARIES):
            summaries = await self._client.summaries(chunk)
            there |= {(summary.batch_id, summary.item_id) for summary in summaries}
            await self._take(summaries, across_reconnect)
        return missing or len(looked_at) == len(unknown), shown - there

    async def _take(self, summaries: list[ItemSummary], across_reconnect: bool) -> None:
        """Reads ours whole, and passes on what of others is shown or to be shown."""
        keys = [(s.batch_id, s.item_id) for s in summaries if rows.names_a_step(s.origin, s.destination)]
        async with self._database.connection() as connection:
            ours, done = await rows.ours_among(connection, self._backend_id, keys)
        await self.some(sorted(item_id for _, item_id in ours - done), across_reconnect=across_reconnect)
        for summary in summaries:
            key = (summary.batch_id, summary.item_id)
            ended = summary.status in TERMINAL
            if key in done or (ended and key not in ours):
                self._remember_ended(summary.item_id)
            if key not in ours and REDACTED not in (summary.user_id, summary.batch_id):
                await self._consumer.put(ItemReading(summary, across_reconnect))

    async def _miss(self, answered: set[str], absence: Absence) -> None:
        if not answered & {batch.batch_id for batch in await self._unseen()}:
            return
        await self._identity.confirm()
        for batch in await self._unseen():  # what was heard of while the server was asked is missing no longer
            if batch.batch_id in answered:
                await self._consumer.put(UnseenItems(batch.batch_id, batch.missing, absence))
        await self._consumer.settle_queue()

    async def _unseen(self) -> list[Unseen]:
        async with self._database.connection() as connection:
            return await rows.unseen(connection, self._backend_id)

    def _absence(self, began: float, known_at: float, *, after_answer: bool) -> Absence:
        return Absence(
            began_at=began,
            known_at=known_at,
            after_answer=after_answer,
            gallery_read_from=self._gallery_read_from(),
        )

    def _remember_ended(self, item_id: int) -> None:
        self._ended[item_id] = None
        while len(self._ended) > ENDED_LIMIT:
            del self._ended[next(iter(self._ended))]


def _chunks(values: Sequence[T], size: int) -> list[Sequence[T]]:
    return [values[start : start + size] for start in range(0, len(values), size)]
