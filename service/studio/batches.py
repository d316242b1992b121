"""Every transition of a step's batches (rule 7): prepared → posted → enqueued | refused; posted → prepared when
certainly without effect (or, seen after all, → enqueued). Each runs in its caller's transaction, locks the step first,
is guarded by the state it leaves, and leaves the step's status true (rule 8)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from service.correlation.items import place, something_recorded
from service.correlation.outcome import refresh_step
from service.database.engine import Connection
from service.media.identity import new_id
from service.studio.decide import split


class Batch(msgspec.Struct, frozen=True):
    """One `enqueue_batch` of ours whose fate is open."""

    batch_id: str
    step_id: UUID
    backend_id: UUID
    seeds: list[int]
    state: str
    posted_ago: float | None
    """Seconds since it was posted, on the database's clock."""
    seen: bool
    """An item of it is known."""


LOCK = """
    SELECT cancel_requested_at IS NOT NULL OR deleted_at IS NOT NULL AS unwanted
      FROM generation_steps WHERE id = $1 FOR NO KEY UPDATE
"""
OPEN = """
    SELECT batch_id, step_id, backend_id, seeds, state, extract(epoch FROM now() - posted_at)::float8 AS posted_ago,
           EXISTS (SELECT FROM queue_items i WHERE i.batch_id = b.batch_id AND i.item_id > 0) AS seen
      FROM step_batches b WHERE backend_id = $1 AND state IN ('prepared', 'posted')
     ORDER BY state = 'posted' DESC, step_id, ordinal LIMIT 200
"""
PREPARE = """
    WITH prepared AS (
        INSERT INTO step_batches (batch_id, step_id, backend_id, wanted, seeds)
        SELECT $1, $2, $3, cardinality($4::bigint[]), $4)
    UPDATE generation_steps SET batch_id = $1 WHERE id = $2
"""
POST = """
    UPDATE step_batches SET state = 'posted', posted_at = now() WHERE batch_id = $1 AND state = 'prepared' RETURNING 1
"""
AGAIN = (
    "UPDATE step_batches SET state = 'prepared', posted_at = NULL WHERE batch_id = $1 AND state = 'posted' RETURNING 1"
)
RENAME = """
    WITH renamed AS (
        UPDATE step_batches SET state = 'prepared', posted_at = NULL, batch_id = $2
         WHERE batch_id = $1 AND state = 'posted' AND NOT EXISTS (SELECT FROM queue_items i WHERE i.batch_id = $1)
        RETURNING step_id)
    UPDATE generation_steps SET batch_id = $2 WHERE id IN (SELECT step_id FROM renamed) AND batch_id = $1
"""
REFUSE = """
    UPDATE step_batches SET state = 'refused', refusal = $2, answered_at = $3
     WHERE batch_id = $1 AND state IN ('prepared', 'posted') RETURNING 1
"""
WITHDRAW = "UPDATE step_batches SET state = 'refused', answered_at = $2 WHERE step_id = $1 AND state = 'prepared'"
LOSE = """
    UPDATE step_batches SET state = 'refused', lost_at = $2, answered_at = $2
     WHERE batch_id = $1 AND state = 'posted'
       AND NOT EXISTS (SELECT FROM queue_items i WHERE i.batch_id = $1 AND i.item_id > 0)
    RETURNING seeds, backend_id
"""
ARRIVE = """
    UPDATE step_batches
       SET state = 'enqueued', seeds = $2, wanted = cardinality($2::bigint[]), enqueued = cardinality($2::bigint[]),
           answered_at = $3
     WHERE batch_id = $1 AND state IN ('prepared', 'posted') RETURNING backend_id
"""
SUBMITTED = "UPDATE generation_steps SET submitted_at = coalesce(submitted_at, $2) WHERE id = $1"
ITEMS = """
    INSERT INTO queue_items AS known (batch_id, item_id, step_id, ordinal)
    SELECT $1, item_id, $2, CASE WHEN k <= $4 THEN k - 1 END
      FROM unnest($3::bigint[]) WITH ORDINALITY AS item(item_id, k)
    ON CONFLICT (batch_id, item_id) DO UPDATE SET ordinal = coalesce(known.ordinal, excluded.ordinal)
"""


async def lock(connection: Connection, step_id: UUID) -> bool:
    """Locks the step; True when nobody wants its work any more."""
    row = await connection.fetchrow(LOCK, step_id)
    return row is None or row["unwanted"]


async def open_batches(connection: Connection, backend_id: UUID) -> list[Batch]:
    """Posted ones, then prepared ones, the oldest step's first; no more than can be minded at a time."""
    return msgspec.convert([dict(row) for row in await connection.fetch(OPEN, backend_id)], list[Batch])


async def prepare(connection: Connection, step_id: UUID, backend_id: UUID, seeds: Sequence[int]) -> str:
    """A new batch of the step, whose row the caller has locked or just made."""
    batch_id = str(new_id())
    await connection.execute(PREPARE, batch_id, step_id, backend_id, list(seeds))
    return batch_id


async def post(connection: Connection, batch: Batch, at: datetime) -> bool:
    """prepared → posted, to be committed just before sending; False when it must not be sent."""
    if await lock(connection, batch.step_id):
        await withdraw(connection, batch.step_id, at)
        return False
    return await connection.fetchrow(POST, batch.batch_id) is not None


async def again(connection: Connection, batch: Batch, at: datetime) -> None:
    """posted → prepared: it was certainly not sent, or answered without effect."""
    unwanted = await lock(connection, batch.step_id)
    await connection.execute(AGAIN, batch.batch_id)
    await _unless_unwanted(connection, batch.step_id, unwanted, at)


async def turned_away(connection: Connection, batch: Batch, at: datetime) -> None:
    """posted → prepared after a full queue took nothing of it; under a new id, lest a late event of this one be taken
    for the arrival of the next."""
    unwanted = await lock(connection, batch.step_id)
    await connection.execute(RENAME, batch.batch_id, str(new_id()))
    await _unless_unwanted(connection, batch.step_id, unwanted, at)


async def refuse(connection: Connection, batch: Batch, words: str, at: datetime) -> None:
    """prepared or posted → refused, for the reason `words` give."""
    await lock(connection, batch.step_id)
    await connection.execute(REFUSE, batch.batch_id, words, at)
    await refresh_step(connection, batch.step_id)


async def withdraw(connection: Connection, step_id: UUID, at: datetime) -> None:
    """Takes back what was never sent of a locked step that nobody wants any more."""
    await connection.execute(WITHDRAW, step_id, at)
    await refresh_step(connection, step_id)


async def lose(connection: Connection, batch: Batch, at: datetime) -> bool:
    """posted → refused, given up after rule 7's window; the same seeds are prepared anew while they are wanted. False
    when an item of it has been heard of just now, or its fate was known already."""
    unwanted = await lock(connection, batch.step_id)
    row = await connection.fetchrow(LOSE, batch.batch_id, at)
    if row is None:
        return False
    if not unwanted:
        await prepare(connection, batch.step_id, row["backend_id"], row["seeds"])
    await refresh_step(connection, batch.step_id)
    return True


async def arrive(connection: Connection, batch: Batch, count: int, item_ids: Sequence[int], at: datetime) -> bool:
    """posted → enqueued with `count` items, ids ascending as far as known, those beyond what was asked among them; what
    InvokeAI did not take becomes another batch while it is wanted. Also of a prepared one, when it turns out to be
    there. False when its fate was known already."""
    unwanted = await lock(connection, batch.step_id)
    seeds = split(batch.seeds, count)
    backend_id = await connection.fetchval(ARRIVE, batch.batch_id, seeds.taken, at)
    if backend_id is None:
        return False
    await something_recorded(connection, backend_id)
    await connection.execute(SUBMITTED, batch.step_id, at)
    await enter_items(connection, batch.batch_id, batch.step_id, item_ids, len(seeds.taken))
    if seeds.rest and not unwanted:
        await prepare(connection, batch.step_id, backend_id, seeds.rest)
    await refresh_step(connection, batch.step_id)
    return True


async def enter_items(
    connection: Connection, batch_id: str, step_id: UUID, item_ids: Sequence[int], count: int
) -> None:
    """The items that InvokeAI's answer names, ids ascending; the first `count` have the batch's seeds in order."""
    await connection.execute(ITEMS, batch_id, step_id, item_ids, count)
    await place(connection, batch_id, item_ids)


async def _unless_unwanted(connection: Connection, step_id: UUID, unwanted: bool, at: datetime) -> None:
    if unwanted:
        await withdraw(connection, step_id, at)
    else:
        await refresh_step(connection, step_id)
