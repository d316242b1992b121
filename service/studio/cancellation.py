"""Canceling at InvokeAI what nobody wants: of canceled and deleted steps, lost batches that turn up, items beyond what
was asked (rule 7). What they saved is kept, and every cancel is followed by a reading."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

import msgspec
import structlog

from service.correlation.correlate import TERMINAL
from service.database.engine import Connection, Database
from service.errors import BackendUnavailable, Conflict, InvokeError, NotFound
from service.invokeai.client import InvokeClient
from service.studio.connections import Connections, client_of
from service.studio.decide import gap

log = structlog.get_logger()

TRIES_BEFORE = 3
"""The gap after a cancel begins where three tries would have brought it: 2 s, time enough for its reading."""

# Of an enqueued batch the first `enqueued` items are what was asked for; a retry at InvokeAI's side adds its own, of
# which events do not tell that it is one. Whoever retries there what was canceled here wants it: once InvokeAI has
# taken the owner's cancel, or the step has ended, a retry is wanted until the owner cancels again. No clock tells this.
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
# Not where the owner canceled again while InvokeAI was told.
TAKEN = """
    UPDATE generation_steps s SET cancel_taken = true
      FROM unnest($1::text[], $2::timestamptz[]) AS canceled (batch_id, requested_at)
      JOIN step_batches b USING (batch_id)
     WHERE s.id = b.step_id AND s.cancel_requested_at = canceled.requested_at
"""
LOST = "SELECT batch_id FROM step_batches WHERE batch_id = ANY($1::text[]) AND backend_id = $2 AND lost_at IS NOT NULL"


# The number alone is no identity: a new database of InvokeAI counts from 1 again.
OWN_ITEM = """
    SELECT i.batch_id, i.status
      FROM queue_items i JOIN step_batches b USING (batch_id) JOIN generation_steps s ON s.id = b.step_id
     WHERE b.backend_id = $1 AND i.item_id = $2 AND s.deleted_at IS NULL
     ORDER BY i.created_at DESC NULLS LAST LIMIT 1
"""
CANCEL_SECONDS = 15.0


class Unwanted(msgspec.Struct, frozen=True):
    """What is to be canceled on one backend: whole batches with the live items known of them, and single items."""

    batches: dict[str, list[int]]
    unseen: set[str]
    """Those of them that may have items nobody has seen yet."""
    beyond: dict[int, str]
    """Items beyond what was asked, if they are not retries, each with its batch."""
    requested: dict[str, datetime]
    """When the owner canceled the step of a batch, where an owner did."""


async def unwanted(connection: Connection, backend_id: UUID, seen: Iterable[str]) -> Unwanted:
    """What nobody wants, as the tables know it; `seen` are batches just named by InvokeAI, lost ones perhaps."""
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


async def cancel_own_item(database: Database, connections: Connections, backend_id: UUID, item_id: int) -> None:
    """One item of a step of ours, now: InvokeAI is asked, and read afterwards. `NotFound` for other people's,
    `Conflict` once it has ended, `BackendUnavailable` while InvokeAI does not answer; canceled twice is canceled
    once."""
    row = None
    if 0 < item_id < 2**63:  # negative ones stand for items nobody has seen
        async with database.connection() as connection:
            row = await connection.fetchrow(OWN_ITEM, backend_id, item_id)
    if row is None:
        raise NotFound("There is no such item of Darkroom's on this server.")
    if row["status"] == "canceled":
        return
    if row["status"] in TERMINAL:
        raise Conflict(f"This item has ended already: it is {row['status']}.")
    client = client_of(connections, backend_id)
    if client is None:
        raise BackendUnavailable("this server is not connected now: nothing was canceled")
    try:
        async with asyncio.timeout(CANCEL_SECONDS):
            if all(item.batch_id != row["batch_id"] for item in await client.items([item_id])):
                raise NotFound("InvokeAI no longer has this item.")
            await client.cancel_item(item_id)
    except TimeoutError as error:
        raise BackendUnavailable(f"InvokeAI did not answer within {CANCEL_SECONDS:g} s") from error
    finally:
        connections.request_reading(backend_id, [item_id])
    log.info("canceled", backend=str(backend_id), item=item_id)


class Cancellation:
    """One backend's cancels, each repeated with growing gaps until a reading shows that it worked."""

    def __init__(self, backend_id: UUID, database: Database, connections: Connections) -> None:
        self.backend_id = backend_id
        self._database = database
        self._connections = connections
        self._seen: set[str] = set()
        self._tries: dict[str | int, int] = {}
        self._not_before: dict[str | int, float] = {}

    def batch_seen(self, batch_id: str) -> None:
        self._seen.add(batch_id)

    async def turn(self, client: InvokeClient) -> float | None:
        """Cancels what is due; returns the seconds until something is due again, None when nothing is waiting."""
        seen, self._seen = self._seen, set()
        try:
            async with self._database.connection() as connection:
                found = await unwanted(connection, self.backend_id, seen)
        except BaseException:
            self._seen |= seen
            raise
        self._forget_all_but({*found.batches, *found.beyond})
        now = asyncio.get_running_loop().time()
        batches = [batch_id for batch_id in found.batches if self._not_before.get(batch_id, now) <= now]
        beyond = {id: batch_id for id, batch_id in found.beyond.items() if self._not_before.get(id, now) <= now}
        try:
            if batches:
                await self._cancel_batches(client, batches, found)
            if beyond:
                await self._cancel_beyond(client, beyond)
        except InvokeError as error:
            log.warning("cancel_failed", backend=str(self.backend_id), error=str(error))
            self._seen |= seen & set(batches)
        self._seen |= seen & (found.batches.keys() - set(batches))
        self._put_off([*batches, *beyond])
        return min((at - now for at in self._not_before.values()), default=None)

    async def _cancel_batches(self, client: InvokeClient, batches: list[str], found: Unwanted) -> None:
        canceled = await client.cancel_batches(batches)
        log.info("canceled", backend=str(self.backend_id), batches=batches, items=canceled)
        requested = {batch_id: found.requested[batch_id] for batch_id in batches if batch_id in found.requested}
        async with self._database.connection() as connection:
            await connection.execute(TAKEN, list(requested), list(requested.values()))
        known = [item_id for batch_id in batches for item_id in found.batches[batch_id]]
        self._connections.request_reading(self.backend_id, () if found.unseen & set(batches) else known)

    async def _cancel_beyond(self, client: InvokeClient, beyond: dict[int, str]) -> None:
        """One by one, and only what InvokeAI says is of that batch, its database not a new one, and nobody's retry or
        child."""
        for item in await client.items(list(beyond)):
            ours = item.batch_id == beyond.get(item.item_id)
            if ours and item.retried_from_item_id is None and item.parent_item_id is None:
                await client.cancel_item(item.item_id)
                log.info("canceled", backend=str(self.backend_id), item=item.item_id)
        self._connections.request_reading(self.backend_id, list(beyond))

    def _put_off(self, canceled: Iterable[str | int]) -> None:
        now = asyncio.get_running_loop().time()
        for key in canceled:
            tries = self._tries[key] = self._tries.get(key, 0) + 1
            self._not_before[key] = now + gap(tries + TRIES_BEFORE - 1)

    def _forget_all_but(self, keys: set[str | int]) -> None:
        for key in self._tries.keys() - keys:
            del self._tries[key], self._not_before[key]
