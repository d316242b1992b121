"""Cancels at InvokeAI what is not wanted (idempotent submit).
That is work of canceled and deleted steps, lost batches that turn up, and items beyond what was asked. What they saved
is kept, and a reading follows every cancel."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

import msgspec
import structlog

from service.backends.registry import Registry
from service.database.engine import Connection, Database
from service.errors import InvokeError
from service.invokeai.client import InvokeClient
from service.runtime.backoff import RetryTimes
from service.steps.submission import LONGEST_RETRY

log = structlog.get_logger()

FIRST_REPEAT = 2.0
"""Seconds after a cancel before it is sent again: time enough for its reading."""
MOST_SEEN = 10_000

# Of an enqueued batch the first `enqueued` items are what was asked for; a retry at InvokeAI's side adds items, and
# events do not tell that they are retries. What is retried there after it was canceled here is wanted: once InvokeAI
# has taken the owner's cancel, or the step has ended, a retry is wanted until the owner cancels again. Clocks do not
# decide this.
UNWANTED_ITEMS = """
    WITH ranked AS (
        SELECT i.batch_id, i.item_id, i.status, i.retried_from_item_id IS NOT NULL AS retry,
               count(*) FILTER (WHERE i.retried_from_item_id IS NULL)
                   OVER (PARTITION BY i.batch_id ORDER BY i.item_id) AS rank
          FROM queue_items i
         WHERE i.item_id > 0 AND i.batch_id IN (SELECT batch_id FROM queue_items WHERE settled_at IS NULL)),
    judged AS (
        SELECT r.batch_id, r.item_id, s.cancel_requested_at, b.lost_at IS NOT NULL AS lost,
               NOT r.retry AND r.rank > b.enqueued AS beyond,
               s.deleted_at IS NOT NULL OR s.cancel_requested_at IS NOT NULL AND CASE
                   WHEN r.retry THEN NOT coalesce(s.cancel_taken, false)
                   ELSE r.rank <= b.enqueued END AS unwanted
          FROM ranked r JOIN step_batches b USING (batch_id) JOIN generation_steps s ON s.id = b.step_id
         WHERE b.backend_id = $1 AND b.state IN ('enqueued', 'refused')
           AND r.status IN ('pending', 'in_progress', 'waiting'))
    SELECT batch_id, item_id, cancel_requested_at, lost, beyond AND NOT lost AND NOT coalesce(unwanted, false) AS beyond
      FROM judged WHERE lost OR beyond OR unwanted
"""
UNWANTED_UNSEEN = """
    SELECT b.batch_id FROM generation_steps s JOIN step_batches b ON b.step_id = s.id
     WHERE b.backend_id = $1 AND b.state = 'enqueued' AND s.status IN ('pending', 'processing')
       AND (s.cancel_requested_at IS NOT NULL OR s.deleted_at IS NOT NULL)
       AND b.enqueued > (SELECT count(*) FROM queue_items i WHERE i.batch_id = b.batch_id)
"""
# Not where the owner canceled again while the cancel was being sent.
TAKEN = """
    UPDATE generation_steps s SET cancel_taken = true
      FROM unnest($1::text[], $2::timestamptz[]) AS canceled (batch_id, requested_at)
      JOIN step_batches b USING (batch_id)
     WHERE s.id = b.step_id AND s.cancel_requested_at = canceled.requested_at
"""
LOST = "SELECT batch_id FROM step_batches WHERE batch_id = ANY($1::text[]) AND backend_id = $2 AND lost_at IS NOT NULL"


class Unwanted(msgspec.Struct, frozen=True):
    """What is to be canceled on one backend: whole batches with the live items known of them, and single items."""

    batches: dict[str, list[int]]
    unseen: set[str]
    """Batches that may have items which were not seen yet."""
    beyond: dict[int, str]
    """Items beyond what was asked, if they are not retries, each with its batch."""
    requested: dict[str, datetime]
    """When the owner canceled the step of a batch, where an owner did."""


async def unwanted(connection: Connection, backend_id: UUID, seen: Iterable[str]) -> Unwanted:
    """What is not wanted, as the tables know it; `seen` are batches that InvokeAI has just named, perhaps lost ones."""
    found = Unwanted({}, set(), {}, {})
    for row in await connection.fetch(UNWANTED_ITEMS, backend_id):
        if row["beyond"]:
            found.beyond[row["item_id"]] = row["batch_id"]
        else:
            found.batches.setdefault(row["batch_id"], []).append(row["item_id"])
            if row["cancel_requested_at"] is not None:
                found.requested[row["batch_id"]] = row["cancel_requested_at"]
            if row["lost"]:
                found.unseen.add(row["batch_id"])
    unseen = await connection.fetch(UNWANTED_UNSEEN, backend_id)
    unseen += await connection.fetch(LOST, list(seen), backend_id)
    for row in unseen:
        found.batches.setdefault(row["batch_id"], [])
        found.unseen.add(row["batch_id"])
    return found


class Cancellation:
    """One backend's cancels, each repeated with growing waits until a reading shows that it worked."""

    def __init__(self, backend_id: UUID, database: Database, registry: Registry) -> None:
        self.woken = asyncio.Event()
        self._backend_id = backend_id
        self._database = database
        self._registry = registry
        self._seen: set[str] = set()
        self._repeats: RetryTimes[str | int] = RetryTimes(FIRST_REPEAT, LONGEST_RETRY)

    def batch_seen(self, batch_id: str) -> None:
        """An item, event or image names this batch of ours, perhaps one that counts as lost."""
        if len(self._seen) < MOST_SEEN:
            self._seen.add(batch_id)
        self.woken.set()

    async def turn(self, client: InvokeClient) -> float | None:
        """Cancels what is due. Seconds until something is due again; None when nothing waits."""
        seen, self._seen = self._seen, set()
        try:
            async with self._database.connection() as connection:
                found = await unwanted(connection, self._backend_id, seen)
        except BaseException:
            self._seen |= seen
            raise
        self._repeats.forget_all_but({*found.batches, *found.beyond})
        batches = [batch_id for batch_id in found.batches if self._repeats.is_due(batch_id)]
        beyond = {id: batch_id for id, batch_id in found.beyond.items() if self._repeats.is_due(id)}
        try:
            if batches:
                await self._cancel_batches(client, batches, found)
            if beyond:
                await self._cancel_beyond(client, beyond)
        except InvokeError as error:
            log.warning("cancel_failed", backend=str(self._backend_id), error=str(error))
            self._seen |= seen & set(batches)
        self._seen |= seen & (found.batches.keys() - set(batches))
        canceled: list[str | int] = [*batches, *beyond]
        for key in canceled:
            self._repeats.put_off(key)
        return self._repeats.next_due()

    async def _cancel_batches(self, client: InvokeClient, batches: list[str], found: Unwanted) -> None:
        canceled = await client.cancel_batches(batches)
        log.info("canceled", backend=str(self._backend_id), batches=batches, items=canceled)
        requested = {batch_id: found.requested[batch_id] for batch_id in batches if batch_id in found.requested}
        async with self._database.connection() as connection:
            await connection.execute(TAKEN, list(requested), list(requested.values()))
        known = [item_id for batch_id in batches for item_id in found.batches[batch_id]]
        self._registry.request_reading(self._backend_id, () if found.unseen & set(batches) else known)

    async def _cancel_beyond(self, client: InvokeClient, beyond: dict[int, str]) -> None:
        """One by one, and only what InvokeAI says is of that batch (its database may be a new one), and neither a retry
        nor a child of another item."""
        for item in await client.items(list(beyond)):
            ours = item.batch_id == beyond.get(item.item_id)
            if ours and item.retried_from_item_id is None and item.parent_item_id is None:
                await client.cancel_item(item.item_id)
                log.info("canceled", backend=str(self._backend_id), item=item.item_id)
        self._registry.request_reading(self._backend_id, list(beyond))
