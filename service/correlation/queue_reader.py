"""Reads the queue of one backend by REST (events are hints).
It reads when asked, after every reconnect, and when it was quiet too long. What it reads goes through the consumer like
everything else."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from uuid import UUID

import structlog

from service.correlation.consumer import Consumer
from service.correlation.exchange import ForeignGone, ItemAbsence, ReadingRequests, UnseenItems, Wanted
from service.correlation.gallery import Gallery
from service.correlation.record import ServerIdentity
from service.database.engine import Database
from service.errors import InvokeError
from service.invokeai.client import InvokeClient
from service.invokeai.events import REDACTED, ItemSummary
from service.invokeai.server import pieces
from service.runtime.backoff import Backoff
from service.runtime.waiting import wait_for_event
from service.steps import queue_items as rows
from service.steps.item_state import ABSENCE, TERMINAL, Absence, Key, Reading
from service.steps.queue_items import OwnItem, UnseenBatch

log = structlog.get_logger()

QUIET = 60.0
"""Seconds after which unsettled work is read without a request."""
GATHER = 0.05
"""Seconds to gather requests into one: items end in bursts."""
FIRST_WAIT = 1.0
"""Seconds after a reading that failed; doubled up to QUIET, and over when the server is back."""
CHUNK = 25
"""Whole items in a request: 21 KB each (FACTS §5)."""
SUMMARIES = 200
RECENT = 1000
"""How many of the newest unknown ids are read; further back only while items of ours are missing."""
ENDED_LIMIT = 20_000


class QueueReader:
    """Reads what was asked for: some items, or all that can matter."""

    def __init__(
        self,
        backend_id: UUID,
        client: InvokeClient,
        consumer: Consumer,
        gallery: Gallery,
        requests: ReadingRequests,
        database: Database,
        *,
        identity: ServerIdentity,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.backend_id = backend_id
        self.read_from: float | None = None
        """When, on the process's monotonic clock, the last complete reading of everything began."""
        self._client = client
        self._consumer = consumer
        self._gallery = gallery
        self._requests = requests
        self._database = database
        self._identity = identity
        self._clock = clock
        self._connection_read: int | None = None
        """The connection, by the consumer's count, during which everything was last read."""
        self._absent = False
        self._due_at: float | None = None
        """When, on the loop's clock, everything is read without a request; None before the first reading."""
        self._ended: dict[int, None] = {}
        """Ids of settled items, which are not read again."""

    # --- when ---

    async def run(self) -> None:
        """Supervised. A failed reading is tried again, less and less often; nothing asked for is forgotten."""
        backoff = Backoff(FIRST_WAIT, QUIET)
        if self._requests.wanted:
            self._requests.asked.set()
        while True:
            await self._until_asked_or_due()
            self._requests.back.clear()
            try:
                await self._read_wanted()
                backoff.reset()
            except InvokeError as error:
                wait = backoff.next()
                log.info("reading_failed", backend_id=str(self.backend_id), error=str(error), seconds=wait)
                if await wait_for_event(self._requests.back, wait):
                    backoff.reset()
                self._requests.asked.set()

    async def _until_asked_or_due(self) -> None:
        """Being asked for single items, however often, never puts off the reading of everything."""
        left = None if self._due_at is None else self._due_at - asyncio.get_running_loop().time()
        if await wait_for_event(self._requests.asked, left):
            await asyncio.sleep(GATHER)
        else:
            self._put_off()
            if self._consumer.tracking.foreign_live or await self._unsettled() or await self._unseen():
                self._requests.queue()
        self._requests.asked.clear()

    def _put_off(self) -> None:
        """Something absent is looked for again as soon as that can prove anything (derived step status)."""
        seconds = min(QUIET, ABSENCE + 1) if self._absent else QUIET
        self._due_at = asyncio.get_running_loop().time() + seconds * random.uniform(1, 1.1)

    async def _read_wanted(self) -> None:
        self._identity.require()
        # Taken before the reading: what is asked for while it runs is asked of the next one.
        wanted, self._requests.wanted = self._requests.wanted, Wanted()
        connection = self._consumer.connection
        if wanted.reconnected:
            self._ended.clear()  # ids restart with a new InvokeAI database
        try:
            if wanted.everything:
                # REST may be back before the socket is: what ended since the last connection was announced to nobody.
                across = wanted.reconnected or connection != self._connection_read
                await self.read_everything(across_reconnect=across)
                self._connection_read = connection
                self._put_off()
            elif wanted.items:
                await self._read_items(sorted(wanted.items))
        except BaseException:
            self._requests.wanted |= wanted
            raise

    # --- reading ---

    async def _read_items(self, item_ids: Sequence[int], *, across_reconnect: bool = False) -> None:
        """These items whole. Raises InvokeError."""
        for chunk in pieces(item_ids, CHUNK):
            for item in await self._client.items(chunk):
                await self._consumer.put(Reading(item, across_reconnect))

    async def read_everything(self, *, across_reconnect: bool = False) -> bool:
        """All of ours that is unsettled, what of ours is unknown, and what is live of others; False when not all of it
        could be kept. Raises InvokeError; absence is proved only by a reading that got to its end, of a server that was
        recognised after that."""
        began, failures = self._clock(), self._consumer.failures
        shown = self._consumer.tracking.foreign_keys
        # What has its answer by now was answered before InvokeAI is asked: no clock needs to tell.
        unsettled = [item for item in await self._unsettled() if item.known.item_id >= 0]
        answered = {batch.batch_id for batch in await self._unseen()}
        found, reused = await self._read_unsettled(unsettled, across_reconnect)
        ids = await self._client.item_ids()
        known_at = self._clock()
        await self._consumer.settle_queue()
        to_the_end, lost = await self._scan_unknown(ids, {item_id for _, item_id in found}, shown, across_reconnect)
        there = set(ids) - reused
        absent = [item for item in unsettled if item.known.key not in found and item.known.item_id not in there]
        if absent or lost:
            await self._identity.confirm()
        await self._consumer.put(ForeignGone(lost))

        def absence(*, after_answer: bool) -> Absence:
            return Absence(
                began_at=began, known_at=known_at, after_answer=after_answer, gallery_read_from=self._gallery.read_from
            )

        for item in absent:
            await self._consumer.put(ItemAbsence(*item.known.key, absence(after_answer=item.answered)))
        await self._consumer.settle_queue()
        if to_the_end:
            await self._report_missing(answered, absence(after_answer=True))
        status = await self._client.queue_status()
        self._consumer.show_queue(status.pending, status.in_progress)
        complete = self._consumer.failures == failures
        if complete:
            self.read_from = began
        self._absent = any(item.absent for item in await self._unsettled())
        if self._absent:
            self._gallery.request()  # so that one comes between this reading and the next (derived step status)
        return complete

    async def _read_unsettled(self, unsettled: Sequence[OwnItem], across_reconnect: bool) -> tuple[set[Key], set[int]]:
        """Reads them; returns those that are there, and the ids another item has, in a new InvokeAI database."""
        found: set[Key] = set()
        reused: set[int] = set()
        for chunk in pieces(unsettled, CHUNK):
            wanted = {item.known.key for item in chunk}
            for there in await self._client.items([item.known.item_id for item in chunk]):
                if (there.batch_id, there.item_id) in wanted:
                    found.add((there.batch_id, there.item_id))
                    await self._consumer.put(Reading(there, across_reconnect))
                else:
                    reused.add(there.item_id)
        return found, reused

    async def _scan_unknown(
        self, ids: list[int], read: set[int], shown: frozenset[Key], across_reconnect: bool
    ) -> tuple[bool, frozenset[Key]]:
        """Reads ids that no event named, newest first, and other people's items that are shown. Returns whether it went
        all the way back, or had no reason to, and which of the shown ones it did not find."""
        missing = bool(await self._unseen())
        shown_ids = {item_id for _, item_id in shown}
        unknown = [item_id for item_id in reversed(ids) if item_id not in read and item_id not in self._ended]
        looked_at = [item_id for k, item_id in enumerate(unknown) if missing or k < RECENT or item_id in shown_ids]
        there: set[Key] = set()
        for chunk in pieces(looked_at, SUMMARIES):
            summaries = await self._client.summaries(chunk)
            there |= {(summary.batch_id, summary.item_id) for summary in summaries}
            await self._record_page(summaries, across_reconnect)
        return missing or len(looked_at) == len(unknown), shown - there

    async def _record_page(self, summaries: list[ItemSummary], across_reconnect: bool) -> None:
        """Reads ours whole, and passes on what of others is shown or to be shown."""
        keys = [(s.batch_id, s.item_id) for s in summaries if rows.names_a_step(s.origin, s.destination)]
        async with self._database.connection() as connection:
            ours, done = await rows.ours_among(connection, self.backend_id, keys)
        await self._read_items(sorted(item_id for _, item_id in ours - done), across_reconnect=across_reconnect)
        for summary in summaries:
            key = (summary.batch_id, summary.item_id)
            ended = summary.status in TERMINAL
            if key in done or (ended and key not in ours):
                self._remember_ended(summary.item_id)
            if key not in ours and REDACTED not in (summary.user_id, summary.batch_id):
                await self._consumer.put(Reading(summary, across_reconnect))

    async def _report_missing(self, answered: set[str], absence: Absence) -> None:
        if not answered & {batch.batch_id for batch in await self._unseen()}:
            return
        await self._identity.confirm()
        for batch in await self._unseen():  # what was heard of while the server was asked is missing no longer
            if batch.batch_id in answered:
                await self._consumer.put(UnseenItems(batch.batch_id, batch.missing, absence))
        await self._consumer.settle_queue()

    async def _unsettled(self) -> list[OwnItem]:
        async with self._database.connection() as connection:
            return await rows.unsettled(connection, self.backend_id)

    async def _unseen(self) -> list[UnseenBatch]:
        async with self._database.connection() as connection:
            return await rows.unseen(connection, self.backend_id)

    def _remember_ended(self, item_id: int) -> None:
        self._ended[item_id] = None
        while len(self._ended) > ENDED_LIMIT:
            del self._ended[next(iter(self._ended))]
