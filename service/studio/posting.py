"""One batch's conversation with InvokeAI (rule 7): sent once, and asked for when its answer is missing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from enum import Enum, auto

import structlog

from service.database.engine import Database
from service.errors import InvokeAnswered, InvokeError
from service.invokeai.client import InvokeClient
from service.invokeai.events import EnqueueResult
from service.live.announce import Announcer
from service.studio import arrivals, batches, decide
from service.studio.batches import Batch
from service.studio.composing import CannotCompose, compose, read_work
from service.studio.connections import Connections
from service.studio.decide import Arrived, Fate, Lost, Unknown
from service.studio.models import ModelCache
from service.studio.parameters import complete

log = structlog.get_logger()


RECOGNISED_WITHIN = 10.0
"""Seconds for which a server that was recognised gets what is to be sent without being asked again."""


class Progress(Enum):
    """What a turn came to, for whoever decides on the next."""

    SETTLED = auto()
    """Its fate is known and written."""
    HELD = auto()
    """InvokeAI does not take it now; prepared again, for later."""
    OPEN = auto()
    """In doubt: ask, or ask again."""
    UNREADY = auto()
    """It alone cannot be sent now, whatever becomes of others: still prepared, for later."""


class Posting:
    """Sends batches and asks for them. What is excess or unwanted on arrival is canceled by whoever sees to that."""

    def __init__(
        self,
        database: Database,
        connections: Connections,
        announcer: Announcer,
        models: ModelCache,
        *,
        grace: float = decide.GRACE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._connections = connections
        self._announcer = announcer
        self._models = models
        self._grace = grace
        self._clock = clock
        self._posted: dict[str, float] = {}
        """When batches in doubt were sent, or first asked for by this process, on its monotonic clock."""

    async def send(self, client: InvokeClient, batch: Batch) -> Progress:
        """A prepared batch, once. Whatever is not certain afterwards is left posted."""
        try:
            body = await compose(self._database, self._models, batch)
        except CannotCompose as error:
            await self._refuse(batch, str(error))
            return Progress.SETTLED
        except InvokeError as error:
            log.info("models_not_known_yet", batch=batch.batch_id, error=str(error))
            return Progress.UNREADY
        try:
            await self._confirm_recognised(batch, within=RECOGNISED_WITHIN)
        except InvokeError as error:
            log.info("server_not_recognised", batch=batch.batch_id, error=str(error))
            return Progress.HELD
        async with self._database.transaction() as connection:
            may_go = await batches.post(connection, batch, _now())
            self._posted[batch.batch_id] = self._clock()
        self._announce(batch)
        if not may_go:
            return Progress.SETTLED
        try:
            answer = await client.enqueue_batch(body)
        except InvokeError as error:
            return await self._failed(batch, error)
        return await self._answered(batch, answer)

    async def ask(self, client: InvokeClient, batch: Batch, *, seen: Callable[[], bool]) -> Progress:
        """A batch in doubt; it is `seen` once an item or event has named it, perhaps while we ask."""
        asked_at = self._clock()
        deadline = self.deadline(client, batch)
        try:
            total = (await client.batch_status(batch.batch_id)).total
            verdict = decide.verdict(
                total=total, wanted=len(batch.seeds), seen=seen(), asked_at=asked_at, deadline=deadline
            )
            if isinstance(verdict, Lost):
                if await self._has_saved(client, batch) or seen():
                    verdict = Arrived(len(batch.seeds))
                else:
                    await self._confirm_recognised(batch)
            item_ids: list[int] = []
            if isinstance(verdict, Arrived) and total not in (0, len(batch.seeds)):
                item_ids = await arrivals.items_of(client, batch.batch_id, total)
                if total < len(batch.seeds) and not await arrivals.are_the_first(client, item_ids, batch.seeds):
                    # Items run oldest first (FACTS §3): those in front have left the queue already. All of it came.
                    verdict, item_ids = Arrived(len(batch.seeds)), []
        except InvokeError as error:
            log.info("batch_in_doubt", batch=batch.batch_id, error=str(error))
            return Progress.OPEN
        match verdict:
            case Unknown():
                return Progress.OPEN
            case Lost():
                return await self._lose(batch)
            case Arrived(count):
                await self._arrive(batch, count, item_ids)
        return Progress.SETTLED

    def deadline(self, client: InvokeClient, batch: Batch) -> float:
        """Until when its effect may still come; of one sent by an earlier process, counted from when it was first
        asked for: no clock that may be set tells when that was."""
        return decide.window_ends(self._sent_at(batch), client.timeout, self._grace)

    def forget(self, batch_ids: Iterable[str]) -> None:
        """Their fate is known."""
        for batch_id in batch_ids:
            self._posted.pop(batch_id, None)

    def _sent_at(self, batch: Batch) -> float:
        return self._posted.setdefault(batch.batch_id, self._clock())

    # --- what an answer, or none, means ---

    async def _answered(self, batch: Batch, answer: EnqueueResult) -> Progress:
        item_ids = answer.item_ids or []
        count = max(answer.enqueued, len(item_ids))
        if count > 0:
            await self._arrive(batch, count, item_ids)
            return Progress.SETTLED
        log.info("queue_full", backend=str(batch.backend_id), batch=batch.batch_id)
        async with self._database.transaction() as connection:
            await batches.turned_away(connection, batch, _now())
        self._announce(batch)
        return Progress.HELD

    async def _failed(self, batch: Batch, error: InvokeError) -> Progress:
        match decide.fate(error):
            case Fate.DOUBT:
                log.warning("batch_in_doubt", batch=batch.batch_id, error=str(error))
                return Progress.OPEN
            case Fate.REFUSED:
                await self._refuse(batch, error.words if isinstance(error, InvokeAnswered) else str(error))
                return Progress.SETTLED
            case Fate.AGAIN:
                log.info("batch_not_sent", batch=batch.batch_id, error=str(error))
                async with self._database.transaction() as connection:
                    await batches.again(connection, batch, _now())
                self._announce(batch)
                return Progress.HELD

    async def _refuse(self, batch: Batch, words: str) -> None:
        log.warning("batch_refused", step=str(batch.step_id), batch=batch.batch_id, words=words)
        async with self._database.transaction() as connection:
            await batches.refuse(connection, batch, words, _now())
        self._announce(batch)

    async def _lose(self, batch: Batch) -> Progress:
        async with self._database.transaction() as connection:
            lost = await batches.lose(connection, batch, _now())
        if not lost:
            return Progress.OPEN
        log.warning("batch_lost", step=str(batch.step_id), batch=batch.batch_id)
        self._announce(batch)
        return Progress.SETTLED

    async def _confirm_recognised(self, batch: Batch, *, within: float = 0.0) -> None:
        connection = self._connections.get(batch.backend_id)
        if connection is None:
            raise InvokeError("the server was removed")
        await connection.confirm_recognised(within=within)

    async def _arrive(self, batch: Batch, count: int, item_ids: list[int]) -> None:
        async with self._database.transaction() as connection:
            await batches.arrive(connection, batch, count, item_ids, _now())
        self._announce(batch)
        self._connections.request_reading(batch.backend_id, item_ids)

    async def _has_saved(self, client: InvokeClient, batch: Batch) -> bool:
        async with self._database.connection() as connection:
            work = await read_work(connection, batch.step_id)
        size = complete(work.parameters)
        seconds_ago = max(batch.posted_ago or 0.0, self._clock() - self._sent_at(batch))
        return await arrivals.has_saved(client, batch.batch_id, size.width, size.height, seconds_ago)

    def _announce(self, batch: Batch) -> None:
        self._announcer.steps_updated([batch.step_id])
        self._announcer.ledger_changed(batch.backend_id)


def _now() -> datetime:
    return datetime.now(UTC)
