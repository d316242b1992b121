"""The table `step_batches`: every transition of a step's batches (idempotent submit).
prepared → posted → enqueued | refused; posted → prepared when the POST certainly had no effect (or → enqueued, when it
turns out to be there). A batch of a step with a source begins as waiting: waiting → prepared once the source is at the
server, and back when it is there no longer (source is a photo). Each function runs in its caller's transaction, locks
the step first, is guarded by the state that it leaves, and brings the step's status up to date (derived step status).
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto
from uuid import UUID

import msgspec

from service.database.engine import Connection
from service.media.identity import new_id
from service.steps.queue_items import clear_identity_since, place_images
from service.steps.status import refresh_step
from service.steps.submission import split


class SendPermission(Enum):
    """Whether a batch may be sent."""

    YES = auto()
    HELD = auto()
    """Not now: its server is about to be stopped. It is still prepared."""
    NOT_NEEDED = auto()
    """The step is canceled or deleted, or the outcome of the batch is known already."""


class Batch(msgspec.Struct, frozen=True):
    """One `enqueue_batch` of ours whose outcome is not known."""

    batch_id: str
    step_id: UUID
    backend_id: UUID
    seeds: list[int]
    state: str
    posted_ago: float | None
    """Seconds since it was posted, on the database's clock."""
    seen: bool
    """An item of it is known."""
    source_image_name: str | None = None
    """The name of its step's source at the backend; null where there is no source, or it is not there yet."""


# Waits for a transaction that is about to hold the pod, and keeps others from holding it until this one ends.
HELD = "SELECT held_at IS NOT NULL FROM pods WHERE backend_id = $1 FOR SHARE"
LOCK = """
    SELECT cancel_requested_at IS NOT NULL OR deleted_at IS NOT NULL AS unwanted
      FROM generation_steps WHERE id = $1 FOR NO KEY UPDATE
"""
OPEN = """
    SELECT batch_id, step_id, backend_id, seeds, state, extract(epoch FROM now() - posted_at)::float8 AS posted_ago,
           EXISTS (SELECT FROM queue_items i WHERE i.batch_id = b.batch_id AND i.item_id > 0) AS seen,
           source_image_name
      FROM step_batches b WHERE backend_id = $1 AND state IN ('prepared', 'posted')
     ORDER BY state = 'posted' DESC, step_id, ordinal LIMIT 200
"""
PREPARE = """
    WITH prepared AS (
        INSERT INTO step_batches (batch_id, step_id, backend_id, wanted, seeds, state)
        SELECT $1, $2, $3, cardinality($4::bigint[]), $4,
               CASE WHEN source_photo_id IS NULL THEN 'prepared' ELSE 'waiting' END
          FROM generation_steps WHERE id = $2)
    UPDATE generation_steps SET batch_id = $1 WHERE id = $2
"""
MARK_POSTED = """
    UPDATE step_batches SET state = 'posted', posted_at = now() WHERE batch_id = $1 AND state = 'prepared' RETURNING 1
"""
MARK_UNSENT = """
    UPDATE step_batches SET state = 'prepared', posted_at = NULL WHERE batch_id = $1 AND state = 'posted'
"""
MARK_QUEUE_FULL = """
    WITH renamed AS (
        UPDATE step_batches SET state = 'prepared', posted_at = NULL, batch_id = $2
         WHERE batch_id = $1 AND state = 'posted' AND NOT EXISTS (SELECT FROM queue_items i WHERE i.batch_id = $1)
        RETURNING step_id)
    UPDATE generation_steps SET batch_id = $2 WHERE id IN (SELECT step_id FROM renamed) AND batch_id = $1
"""
MARK_REFUSED = """
    UPDATE step_batches SET state = 'refused', refusal = $2, answered_at = now()
     WHERE batch_id = $1 AND state = ANY($3::text[])
"""
DROP_UNSENT = """
    UPDATE step_batches SET state = 'refused', answered_at = now()
     WHERE step_id = $1 AND state IN ('waiting', 'prepared')
"""
MARK_SOURCE_READY = """
    UPDATE step_batches SET state = 'prepared', source_image_name = $2 WHERE batch_id = $1 AND state = 'waiting'
"""
MARK_SOURCE_MISSING = """
    UPDATE step_batches SET state = 'waiting', source_image_name = NULL WHERE batch_id = $1 AND state = 'prepared'
"""
MARK_LOST = """
    UPDATE step_batches SET state = 'refused', lost_at = now(), answered_at = now()
     WHERE batch_id = $1 AND state = 'posted'
       AND NOT EXISTS (SELECT FROM queue_items i WHERE i.batch_id = $1 AND i.item_id > 0)
    RETURNING seeds, backend_id
"""
MARK_ENQUEUED = """
    UPDATE step_batches
       SET state = 'enqueued', seeds = $2, wanted = cardinality($2::bigint[]), enqueued = cardinality($2::bigint[]),
           answered_at = now()
     WHERE batch_id = $1 AND state IN ('waiting', 'prepared', 'posted') RETURNING backend_id
"""
SUBMITTED = "UPDATE generation_steps SET submitted_at = coalesce(submitted_at, now()) WHERE id = $1"
ITEMS = """
    INSERT INTO queue_items AS known (batch_id, item_id, step_id, ordinal)
    SELECT $1, item_id, $2, CASE WHEN k <= $4 THEN k - 1 END
      FROM unnest($3::bigint[]) WITH ORDINALITY AS item(item_id, k)
    ON CONFLICT (batch_id, item_id) DO UPDATE SET ordinal = coalesce(known.ordinal, excluded.ordinal)
"""


async def open_batches(connection: Connection, backend_id: UUID) -> list[Batch]:
    """Posted ones, then prepared ones, the oldest step's first; at most as many as can be handled at a time."""
    return msgspec.convert([dict(row) for row in await connection.fetch(OPEN, backend_id)], list[Batch])


async def prepare(connection: Connection, step_id: UUID, backend_id: UUID, seeds: Sequence[int]) -> None:
    """A new batch of the step, whose row the caller has locked or just made; it waits first where there is a source."""
    await connection.execute(PREPARE, str(new_id()), step_id, backend_id, list(seeds))


async def mark_source_ready(connection: Connection, batch_id: str, step_id: UUID, image_name: str) -> None:
    """waiting → prepared: the step's source is at the backend by that name."""
    await _move_to_unsent(connection, step_id, MARK_SOURCE_READY, batch_id, image_name)


async def mark_source_missing(connection: Connection, batch: Batch) -> None:
    """prepared → waiting: the step's source is not at the backend any more."""
    await _move_to_unsent(connection, batch.step_id, MARK_SOURCE_MISSING, batch.batch_id)


async def mark_source_refused(connection: Connection, batch_id: str, step_id: UUID, words: str) -> None:
    """waiting → refused: its source cannot be brought to the backend, for the reason in `words`."""
    await _lock(connection, step_id)
    await connection.execute(MARK_REFUSED, batch_id, words, ["waiting"])
    await refresh_step(connection, step_id)


async def mark_posted(connection: Connection, batch: Batch) -> SendPermission:
    """prepared → posted, to be committed just before sending; without permission it must not be sent. Once it is
    posted, its server is not held before this transaction ends (stopped only when home)."""
    if await _lock(connection, batch.step_id):
        await drop_unsent(connection, batch.step_id)
        return SendPermission.NOT_NEEDED
    if await connection.fetchval(HELD, batch.backend_id):
        return SendPermission.HELD
    is_posted = await connection.fetchrow(MARK_POSTED, batch.batch_id) is not None
    return SendPermission.YES if is_posted else SendPermission.NOT_NEEDED


async def mark_unsent(connection: Connection, batch: Batch) -> None:
    """posted → prepared: it was certainly not sent, or answered without effect."""
    await _move_to_unsent(connection, batch.step_id, MARK_UNSENT, batch.batch_id)


async def mark_queue_full(connection: Connection, batch: Batch) -> None:
    """posted → prepared after a full queue took nothing of it. It gets a new id: else a late event of this POST would
    be taken for a sign of the next one."""
    await _move_to_unsent(connection, batch.step_id, MARK_QUEUE_FULL, batch.batch_id, str(new_id()))


async def mark_refused(connection: Connection, batch: Batch, words: str) -> None:
    """prepared or posted → refused, for the reason in `words`."""
    await _lock(connection, batch.step_id)
    await connection.execute(MARK_REFUSED, batch.batch_id, words, ["prepared", "posted"])
    await refresh_step(connection, batch.step_id)


async def mark_lost(connection: Connection, batch: Batch) -> bool:
    """posted → refused, given up once its POST can have no effect any more; the same seeds are prepared again unless
    the step is canceled or deleted. False when an item of it was seen just now, or its outcome was known already."""
    unwanted = await _lock(connection, batch.step_id)
    row = await connection.fetchrow(MARK_LOST, batch.batch_id)
    if row is None:
        return False
    if not unwanted:
        await prepare(connection, batch.step_id, row["backend_id"], row["seeds"])
    await refresh_step(connection, batch.step_id)
    return True


async def mark_enqueued(connection: Connection, batch: Batch, count: int, item_ids: Sequence[int]) -> bool:
    """posted → enqueued with `count` items, ids ascending as far as known, those beyond what was asked among them. What
    InvokeAI did not take becomes another batch, unless the step is canceled or deleted. Also of a prepared batch, when
    it turns out to be there. False when its outcome was known already."""
    unwanted = await _lock(connection, batch.step_id)
    taken, rest = split(batch.seeds, count)
    backend_id = await connection.fetchval(MARK_ENQUEUED, batch.batch_id, taken)
    if backend_id is None:
        return False
    await clear_identity_since(connection, backend_id)
    await connection.execute(SUBMITTED, batch.step_id)
    await add_items(connection, batch.batch_id, batch.step_id, item_ids, len(taken))
    if rest and not unwanted:
        await prepare(connection, batch.step_id, backend_id, rest)
    await refresh_step(connection, batch.step_id)
    return True


async def add_items(connection: Connection, batch_id: str, step_id: UUID, item_ids: Sequence[int], count: int) -> None:
    """The items that InvokeAI's answer names, ids ascending; the first `count` have the batch's seeds in order."""
    await connection.execute(ITEMS, batch_id, step_id, item_ids, count)
    await place_images(connection, batch_id, item_ids)


async def drop_unsent(connection: Connection, step_id: UUID) -> None:
    """waiting or prepared → refused: what was never sent of a locked step that is canceled or deleted."""
    await connection.execute(DROP_UNSENT, step_id)
    await refresh_step(connection, step_id)


async def _lock(connection: Connection, step_id: UUID) -> bool:
    """Locks the step; True when it is canceled or deleted."""
    row = await connection.fetchrow(LOCK, step_id)
    return row is None or row["unwanted"]


async def _move_to_unsent(connection: Connection, step_id: UUID, transition: str, *values: str) -> None:
    """After `transition` a batch is waiting or prepared; of a step that is canceled or deleted it is dropped then."""
    unwanted = await _lock(connection, step_id)
    await connection.execute(transition, *values)
    if unwanted:
        await drop_unsent(connection, step_id)
    else:
        await refresh_step(connection, step_id)
