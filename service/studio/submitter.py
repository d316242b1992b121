"""Sends each prepared batch to its backend once, and polls for those without an answer (idempotent submit)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from enum import Enum, auto
from typing import Any, Final
from uuid import UUID

import structlog

from service.backends.registry import Registry
from service.bus.bus import Bus, Topic
from service.database.engine import Connection, Database
from service.errors import InvokeAnswered, InvokeError
from service.invokeai.client import InvokeClient
from service.invokeai.events import EnqueueResult, ImageDTO
from service.models.cache import ModelCache
from service.runtime.backoff import Backoff, RetryTimes
from service.steps import batches, submission
from service.steps.batches import Batch, SendPermission
from service.steps.parameters import complete
from service.steps.submission import Enqueued, Lost, PostOutcome
from service.studio import traces
from service.studio.composing import CannotCompose, compose, read_work

log = structlog.get_logger()

MOST_SEEN: Final = 10_000


class _Sent(Enum):
    """What an attempt to send a batch came to."""

    DONE = auto()
    """Its outcome is written, it waits for its source, or it is to be polled for: the next batch may follow."""
    HELD = auto()
    """The server takes nothing now: every batch waits."""
    NOT_YET = auto()
    """This batch alone cannot be sent now. It is still prepared."""


class BackendSubmitter:
    """What is submitted to one backend, batch after batch."""

    def __init__(
        self,
        backend_id: UUID,
        database: Database,
        registry: Registry,
        bus: Bus,
        models: ModelCache,
        *,
        grace: float = submission.GRACE,
    ) -> None:
        self.woken = asyncio.Event()
        self.settled: Topic[()] = Topic()
        """A POST has ended, or the outcome of one is known now."""
        self._backend_id = backend_id
        self._database = database
        self._registry = registry
        self._bus = bus
        self._models = models
        self._grace = grace
        self._seen: set[str] = set()
        """Batches that an item, event or image has named."""
        self._posted_at: dict[str, float] = {}
        """When batches in doubt were sent, or first polled for by this process, on its monotonic clock."""
        self._polls: RetryTimes[str] = RetryTimes(submission.FIRST_POLL, submission.LONGEST_POLL)
        self._not_yet: RetryTimes[str] = RetryTimes(submission.FIRST_RETRY, submission.LONGEST_RETRY)
        self._hold = Backoff(submission.FIRST_RETRY, submission.LONGEST_RETRY)
        self._held_until = 0.0

    def wake(self) -> None:
        """Something may be possible now that was not before."""
        self._held_until = 0.0
        self._not_yet.retry_now()
        self.woken.set()

    def batch_seen(self, batch_id: str) -> None:
        """An item, event or image names this batch of ours."""
        if len(self._seen) < MOST_SEEN:
            self._seen.add(batch_id)
        self.woken.set()

    async def turn(self, client: InvokeClient) -> float | None:
        """Polls for what is in doubt and due, else sends the next prepared batch. Seconds until something is due again;
        None when nothing waits."""
        async with self._database.connection() as connection:
            open_batches = await batches.open_batches(connection, self._backend_id)
        self._forget_all_but({batch.batch_id for batch in open_batches})
        in_doubt = [batch for batch in open_batches if batch.state == "posted" or self._is_seen(batch)]
        known = [batch for batch in in_doubt if await self._poll_if_due(client, batch)]
        if known:
            return 0
        prepared = [batch for batch in open_batches if batch not in in_doubt]
        next_poll = self._polls.next_due()
        if not prepared:
            return next_poll
        # Of those that may be sent, the oldest.
        batch = min(prepared, key=lambda batch: self._not_yet.seconds_left(batch.batch_id))
        wait = max(self._held_until - self._now(), self._not_yet.seconds_left(batch.batch_id))
        if wait > 0:
            return wait if next_poll is None else min(wait, next_poll)
        await self._send_or_put_off(client, batch)
        self.settled()
        return 0

    def _is_seen(self, batch: Batch) -> bool:
        return batch.seen or batch.batch_id in self._seen

    def _forget_all_but(self, open_ids: set[str]) -> None:
        self._seen &= open_ids
        self._posted_at = {batch_id: at for batch_id, at in self._posted_at.items() if batch_id in open_ids}
        self._polls.forget_all_but(open_ids)
        self._not_yet.forget_all_but(open_ids)

    # --- sending ---

    async def _send_or_put_off(self, client: InvokeClient, batch: Batch) -> None:
        sent = await self._send(client, batch)
        if sent is _Sent.NOT_YET:
            self._not_yet.put_off(batch.batch_id)
        elif sent is _Sent.HELD:
            self._held_until = self._now() + self._hold.next()
        else:
            self._hold.reset()

    async def _send(self, client: InvokeClient, batch: Batch) -> _Sent:
        """A prepared batch, once. While its outcome is not certain it stays posted."""
        body = await self._body(client, batch)
        if isinstance(body, _Sent):
            return body
        try:
            await self._registry.confirm_recognised(self._backend_id, within=submission.RECOGNISED_WITHIN)
        except InvokeError as error:
            log.info("server_not_recognised", batch=batch.batch_id, error=str(error))
            return _Sent.HELD
        async with self._database.transaction() as connection:
            permission = await batches.mark_posted(connection, batch)
            if permission is SendPermission.YES:
                self._posted_at[batch.batch_id] = self._now()
        if permission is SendPermission.HELD:
            return _Sent.HELD
        self._announce(batch)
        if permission is SendPermission.NOT_NEEDED:
            return _Sent.DONE
        try:
            answer = await client.enqueue_batch(body)
        except InvokeError as error:
            return await self._post_failed(batch, error)
        return await self._post_answered(batch, answer)

    async def _body(self, client: InvokeClient, batch: Batch) -> dict[str, Any] | _Sent:
        """What to send, or why nothing can be sent now."""
        source: ImageDTO | None = None
        try:
            if batch.source_image_name is not None:
                source = await traces.image_or_none(client, batch.source_image_name)
                if source is None:
                    await self._source_missing(batch)
                    return _Sent.DONE
            return await compose(self._database, self._models, batch, source)
        except CannotCompose as error:
            await self._refuse(batch, str(error))
            return _Sent.DONE
        except InvokeError as error:
            log.info("batch_not_ready", batch=batch.batch_id, error=str(error))
            return _Sent.NOT_YET

    async def _source_missing(self, batch: Batch) -> None:
        """The source is not at the server any more: the batch waits for it again."""
        await self._registry.confirm_recognised(self._backend_id)
        log.info("source_missing", batch=batch.batch_id, image_name=batch.source_image_name)
        await self._record(batch, batches.mark_source_missing)

    async def _post_answered(self, batch: Batch, answer: EnqueueResult) -> _Sent:
        item_ids = answer.item_ids or []
        count = max(answer.enqueued, len(item_ids))
        if count > 0:
            await self._enqueued(batch, count, item_ids)
            return _Sent.DONE
        log.info("queue_full", backend=str(self._backend_id), batch=batch.batch_id)
        await self._record(batch, batches.mark_queue_full)
        return _Sent.HELD

    async def _post_failed(self, batch: Batch, error: InvokeError) -> _Sent:
        match submission.classify_error(error):
            case PostOutcome.IN_DOUBT:
                log.warning("batch_in_doubt", batch=batch.batch_id, error=str(error))
                return _Sent.DONE
            case PostOutcome.REFUSED:
                await self._refuse(batch, error.words if isinstance(error, InvokeAnswered) else str(error))
                return _Sent.DONE
            case PostOutcome.NO_EFFECT:
                log.info("batch_not_sent", batch=batch.batch_id, error=str(error))
                await self._record(batch, batches.mark_unsent)
                return _Sent.HELD

    # --- polling ---

    async def _poll_if_due(self, client: InvokeClient, batch: Batch) -> bool:
        """True when its outcome is known now."""
        if not self._polls.is_due(batch.batch_id) and batch.batch_id not in self._seen:
            return False
        posted_at = self._posted_at.setdefault(batch.batch_id, self._now())
        # For one that an earlier process sent it is counted from the first poll: a wall clock may have been set.
        deadline = submission.effect_deadline(posted_at, client.timeout, self._grace)
        try:
            is_known = await self._poll(client, batch, deadline)
        except InvokeError as error:
            log.info("batch_in_doubt", batch=batch.batch_id, error=str(error))
            is_known = False
        if is_known:
            self.settled()
        else:
            self._polls.put_off(batch.batch_id, by=deadline)
        return is_known

    async def _poll(self, client: InvokeClient, batch: Batch, deadline: float) -> bool:
        """Asks InvokeAI what became of a batch in doubt; an item or event may name it during that."""
        polled_at = self._now()
        total = (await client.batch_status(batch.batch_id)).total
        found = submission.classify_poll(
            total=total, wanted=len(batch.seeds), seen=self._is_seen(batch), polled_at=polled_at, deadline=deadline
        )
        if isinstance(found, Lost):
            if await self._has_saved(client, batch) or self._is_seen(batch):
                found = Enqueued(len(batch.seeds))
            else:
                await self._registry.confirm_recognised(self._backend_id)
                return await self._lose(batch)
        if isinstance(found, Enqueued):
            await self._enqueued(batch, *await traces.enqueued_items(client, batch, found.count))
            return True
        return False

    async def _lose(self, batch: Batch) -> bool:
        async with self._database.transaction() as connection:
            lost = await batches.mark_lost(connection, batch)
        if lost:
            log.warning("batch_lost", step=str(batch.step_id), batch=batch.batch_id)
            self._announce(batch)
        return lost

    async def _has_saved(self, client: InvokeClient, batch: Batch) -> bool:
        async with self._database.connection() as connection:
            work = await read_work(connection, batch.step_id)
        size = complete(work.parameters)
        seconds_ago = max(batch.posted_ago or 0.0, self._now() - self._posted_at[batch.batch_id])
        return await traces.has_saved(client, batch.batch_id, size.width, size.height, seconds_ago)

    # --- what became of a batch ---

    async def _enqueued(self, batch: Batch, count: int, item_ids: list[int]) -> None:
        await self._record(batch, lambda connection, _: batches.mark_enqueued(connection, batch, count, item_ids))
        self._registry.request_reading(self._backend_id, item_ids)

    async def _refuse(self, batch: Batch, words: str) -> None:
        log.warning("batch_refused", step=str(batch.step_id), batch=batch.batch_id, words=words)
        await self._record(batch, lambda connection, _: batches.mark_refused(connection, batch, words))

    async def _record(self, batch: Batch, transition: Callable[[Connection, Batch], Awaitable[object]]) -> None:
        async with self._database.transaction() as connection:
            await transition(connection, batch)
        self._announce(batch)

    def _announce(self, batch: Batch) -> None:
        self._bus.changed("step.updated", [batch.step_id])
        self._bus.ledger_changed()

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
