"""The table `queue_items`: items of our batches, which of them are unsettled, and the guarded write of one."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import UUID

import asyncpg
import msgspec

from service.database.engine import Connection
from service.steps.item_state import Key, Known
from service.steps.status import lock_step, refresh_step

ORIGIN = "darkroom"
DESTINATION = "step:"


class OwnBatch(msgspec.Struct, frozen=True):
    """A batch of ours, as its `step_batches` row says; everything that names it is that step's work (direct
    correlation)."""

    batch_id: str
    step_id: UUID
    seeds: tuple[int, ...]


class OwnItem(msgspec.Struct, frozen=True):
    batch: OwnBatch
    ordinal: int | None
    known: Known
    absent: bool
    """A reading lacked it."""
    photo_ids: tuple[UUID, ...]
    """The photos that it made, as far as they are recorded."""
    answered: bool
    """Its batch's POST was answered, or given up: only then its absence counts (derived step status)."""


class UnseenBatch(msgspec.Struct, frozen=True):
    """A batch with fewer known items than InvokeAI said it took."""

    batch_id: str
    missing: tuple[int, ...]
    """Ordinals without an item."""


BATCH = "SELECT batch_id, step_id, seeds FROM step_batches WHERE batch_id = $1 AND backend_id = $2"

ITEMS = """
    SELECT i.batch_id, i.item_id, i.step_id, i.ordinal, i.invoke_session_id, i.status, i.status_sequence, i.error,
           i.absent_since, i.settled_at, i.created_at, i.started_at, i.completed_at, b.seeds,
           coalesce(b.answered_at, b.lost_at) IS NOT NULL AS answered,
           ARRAY(SELECT p.id FROM photos p
                  WHERE p.invoke_session_id = i.invoke_session_id AND p.purged_at IS NULL ORDER BY p.id) AS photo_ids
      FROM queue_items i JOIN step_batches b USING (batch_id)
"""
UNSETTLED = ITEMS + "WHERE b.backend_id = $1 AND i.settled_at IS NULL ORDER BY i.item_id"
ONE_ITEM = ITEMS + "WHERE b.backend_id = $1 AND i.batch_id = $2 AND i.item_id = $3"

UNSEEN = """
    SELECT b.batch_id,
           ARRAY(SELECT k FROM generate_series(0, b.enqueued - 1) AS k
                  WHERE NOT EXISTS (SELECT FROM queue_items i
                                     WHERE i.batch_id = b.batch_id AND i.ordinal = k AND i.item_id >= 0)
                  ORDER BY k) AS missing
      FROM step_batches b
      -- A batch that lacks items keeps its step alive (derived step status): ended ones need no look.
      JOIN generation_steps s ON s.id = b.step_id AND s.status IN ('pending', 'processing')
     WHERE b.backend_id = $1 AND b.state = 'enqueued' AND b.answered_at IS NOT NULL
       AND b.enqueued > (SELECT count(*) FROM queue_items i
                          WHERE i.batch_id = b.batch_id AND i.retried_from_item_id IS NULL
                            AND (i.item_id >= 0 OR i.settled_at IS NOT NULL))
"""

OWN_BATCHES = "SELECT batch_id FROM step_batches WHERE backend_id = $1 AND batch_id = ANY($2)"
# What was given up as gone is of interest again when InvokeAI has it after all.
DONE_WITH = """
    SELECT batch_id, item_id FROM queue_items
     WHERE batch_id = ANY($1) AND settled_at IS NOT NULL AND status <> 'gone'
"""

FOUND_AFTER_ALL = "DELETE FROM queue_items WHERE batch_id = $1 AND item_id = $2"

STORE = """
    INSERT INTO queue_items AS known
           (batch_id, item_id, step_id, ordinal, retried_from_item_id, invoke_session_id, status, status_sequence,
            error, absent_since, settled_at, created_at, started_at, completed_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, CASE WHEN $10 THEN now() END, CASE WHEN $11 THEN now() END,
            $12, $13, $14)
    ON CONFLICT (batch_id, item_id) DO UPDATE SET
           ordinal = coalesce(known.ordinal, excluded.ordinal),
           retried_from_item_id = coalesce(known.retried_from_item_id, excluded.retried_from_item_id),
           invoke_session_id = coalesce(known.invoke_session_id, excluded.invoke_session_id),
           status = excluded.status, status_sequence = excluded.status_sequence, error = excluded.error,
           absent_since = CASE WHEN $10 THEN coalesce(known.absent_since, now()) END,
           settled_at = CASE WHEN $11 THEN coalesce(known.settled_at, now())
                             WHEN known.status = 'gone' AND excluded.status <> 'gone' THEN NULL
                             ELSE known.settled_at END,
           created_at = coalesce(known.created_at, excluded.created_at),
           started_at = coalesce(known.started_at, excluded.started_at),
           completed_at = coalesce(excluded.completed_at, known.completed_at)
     -- A terminal state absorbs (pure correlation); `gone` is our own word and yields to InvokeAI's.
     WHERE known.status NOT IN ('completed', 'failed', 'canceled') OR known.status = excluded.status
    RETURNING ordinal
"""

# One by one in the order that everybody locks photos in; below, the rows come in any.
LOCK_PHOTOS = """
    SELECT p.id, p.purged_at FROM photos p JOIN queue_items i USING (invoke_session_id)
     WHERE i.batch_id = $1 AND i.item_id = ANY($2::bigint[]) ORDER BY p.id FOR NO KEY UPDATE OF p
"""

# Positions are (batch, item ordinal); within an item photo ids, which are in time order, decide.
POSITION = "(b.ordinal::bigint << 32) + (coalesce(i.ordinal, 65535)::bigint << 8)"

# A place may be learned after the images were filed.
PLACE = f"""
    WITH item AS (
        SELECT i.step_id, i.invoke_session_id, {POSITION} AS position, b.seeds[i.ordinal + 1] AS seed
          FROM queue_items i JOIN step_batches b USING (batch_id)
         WHERE i.batch_id = $1 AND i.item_id = ANY($2::bigint[]) AND i.invoke_session_id IS NOT NULL),
    filed AS (
        SELECT p.id, item.* FROM item JOIN photos p USING (invoke_session_id)
          JOIN step_alternatives a ON a.photo_id = p.id AND a.step_id = item.step_id),
    seeded AS (
        UPDATE photos p SET seed = filed.seed FROM filed WHERE p.id = filed.id AND p.seed IS NULL)
    UPDATE step_alternatives a SET position = filed.position FROM filed
     WHERE a.photo_id = filed.id AND a.position <> filed.position
"""

ADOPT = f"""
    WITH adopted AS (
        INSERT INTO step_alternatives (step_id, photo_id, position)
        SELECT i.step_id, p.id, {POSITION}
          FROM queue_items i JOIN step_batches b USING (batch_id)
          JOIN photos p ON p.invoke_session_id = i.invoke_session_id
         WHERE i.batch_id = $1 AND i.item_id = $2 AND p.purged_at IS NULL
        ON CONFLICT DO NOTHING
        RETURNING photo_id, step_id)
    UPDATE photos p SET
           source = 'generated',
           generation_prompt = coalesce(p.generation_prompt, s.prompt),
           generation_negative_prompt = coalesce(p.generation_negative_prompt, s.negative_prompt),
           model_key = coalesce(p.model_key, s.model_key), model_hash = coalesce(p.model_hash, s.model_hash),
           model_name = coalesce(p.model_name, s.model_name),
           source_image_id = coalesce(p.source_image_id, s.source_photo_id)
      FROM adopted JOIN generation_steps s ON s.id = adopted.step_id
     WHERE p.id = adopted.photo_id RETURNING p.id
"""

# One at a time, over all backends, for one server may be known by two addresses: a session learned while an image with
# it is being recorded would else find no image, nor the image its session.
RECORDING = "SELECT pg_advisory_xact_lock(hashtextextended('recording', 0))"

# The owner said that this is the same server although it had nothing of what was recorded: from now on it has.
HAS_RECORDS = "UPDATE backends SET identity_since = NULL WHERE id = $1 AND identity_since IS NOT NULL"


class Stored(msgspec.Struct, frozen=True):
    ordinal: int | None
    step_changed: bool
    adopted: tuple[UUID, ...]
    """Photos already here that turned out to be this item's work (sighted is not made)."""
    photo_ids: tuple[UUID, ...]
    """Photos of its session, where that was learned just now."""


def names_a_step(origin: str | None, destination: str | None) -> bool:
    """Whether something enqueued so may be ours (direct correlation); its batch decides."""
    return origin == ORIGIN and (destination or "").startswith(DESTINATION)


def unseen_id(ordinal: int) -> int:
    """The id of an item that nobody has seen: negative, as no id of InvokeAI's is."""
    return -1 - ordinal


async def own_batch(connection: Connection, backend_id: UUID, batch_id: str) -> OwnBatch | None:
    row = await connection.fetchrow(BATCH, batch_id, backend_id)
    return None if row is None else OwnBatch(row["batch_id"], row["step_id"], tuple(row["seeds"]))


async def own_item(connection: Connection, backend_id: UUID, batch_id: str, item_id: int) -> OwnItem | None:
    row = await connection.fetchrow(ONE_ITEM, backend_id, batch_id, item_id)
    return None if row is None else _own_item(row)


async def unsettled(connection: Connection, backend_id: UUID) -> list[OwnItem]:
    """All unsettled items of ours on this backend."""
    return [_own_item(row) for row in await connection.fetch(UNSETTLED, backend_id)]


async def ours_among(connection: Connection, backend_id: UUID, keys: Collection[Key]) -> tuple[set[Key], set[Key]]:
    """The items of batches of ours among these; and which of them are settled."""
    rows = await connection.fetch(OWN_BATCHES, backend_id, list({batch_id for batch_id, _ in keys}))
    batches = {row["batch_id"] for row in rows}
    ours = {key for key in keys if key[0] in batches}
    done = {(row["batch_id"], row["item_id"]) for row in await connection.fetch(DONE_WITH, list(batches))}
    return ours, ours & done


def _own_item(row: asyncpg.Record) -> OwnItem:
    known = Known(
        batch_id=row["batch_id"],
        item_id=row["item_id"],
        status=row["status"],
        status_sequence=row["status_sequence"],
        session_id=row["invoke_session_id"],
        error=row["error"],
        settled=row["settled_at"] is not None,
        created_at=row["created_at"],
        started_at=row["started_at"],
        completed_at=row["completed_at"],
    )
    batch = OwnBatch(row["batch_id"], row["step_id"], tuple(row["seeds"]))
    absent = row["absent_since"] is not None
    return OwnItem(batch, row["ordinal"], known, absent, tuple(row["photo_ids"]), row["answered"])


async def unseen(connection: Connection, backend_id: UUID) -> list[UnseenBatch]:
    rows = await connection.fetch(UNSEEN, backend_id)
    return [UnseenBatch(row["batch_id"], tuple(row["missing"])) for row in rows]


async def clear_identity_since(connection: Connection, backend_id: UUID) -> None:
    """An image or a batch of this server has just been recorded: the server is recognised by its records again, however
    the owner had vouched for it (recognised servers
    only)."""
    await connection.execute(HAS_RECORDS, backend_id)


async def place_images(connection: Connection, batch_id: str, item_ids: Sequence[int]) -> None:
    """Gives images that were filed before the places of their items were known these places, and their seeds. Call it,
    with the step locked, after writing an item's ordinal."""
    await connection.execute(LOCK_PHOTOS, batch_id, item_ids)
    await connection.execute(PLACE, batch_id, item_ids)


async def store(
    connection: Connection,
    batch: OwnBatch,
    known: Known,
    *,
    ordinal: int | None,
    retried_from: int | None,
    new_session: bool,
) -> Stored:
    """Writes one item and what follows from it for its step; in the caller's transaction, step locked first."""
    if new_session:
        await connection.execute(RECORDING)
    await lock_step(connection, batch.step_id)
    stored_ordinal = await connection.fetchval(
        STORE,
        known.batch_id,
        known.item_id,
        batch.step_id,
        ordinal,
        retried_from,
        known.session_id,
        known.status,
        known.status_sequence,
        known.error,
        known.absent_since is not None,
        known.settled,
        known.created_at,
        known.started_at,
        known.completed_at,
    )
    ordinal = ordinal if stored_ordinal is None else stored_ordinal
    adopted, photo_ids = tuple[UUID, ...](), tuple[UUID, ...]()
    if new_session:
        photos = await connection.fetch(LOCK_PHOTOS, known.batch_id, [known.item_id])
        photo_ids = tuple(r["id"] for r in photos if r["purged_at"] is None)
        adopted = tuple(r["id"] for r in await connection.fetch(ADOPT, known.batch_id, known.item_id))
    if ordinal is not None and known.item_id >= 0:
        await connection.execute(FOUND_AFTER_ALL, known.batch_id, unseen_id(ordinal))
        await place_images(connection, known.batch_id, [known.item_id])
    changed = await refresh_step(connection, batch.step_id)
    return Stored(ordinal, changed, adopted, photo_ids)
