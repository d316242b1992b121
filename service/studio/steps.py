"""Changes to steps: made, canceled, retried, deleted. Each runs in its caller's transaction; what InvokeAI must hear of
it, the submitter reads from the tables."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec

from service.correlation.outcome import refresh_step
from service.database.engine import Connection
from service.errors import Conflict, NotFound, ValidationError
from service.media.identity import new_id
from service.studio import batches
from service.studio.choice import Choice, choose, default_backend, hold_its_own
from service.studio.decide import missing
from service.studio.parameters import Parameters
from service.studio.schemas import StepCreate

LIVE = frozenset({"pending", "processing"})

EXISTING = "SELECT id, deleted_at FROM generation_steps WHERE correlation_id = $1"
# Not FOR UPDATE: changing a step twice in one transaction checks its foreign keys again, which must not wait here.
SESSION = "SELECT FROM generation_sessions WHERE id = $1 AND deleted_at IS NULL FOR NO KEY UPDATE"
PARENT = "SELECT FROM generation_steps WHERE id = $1 AND session_id = $2 AND deleted_at IS NULL"
CREATE = """
    INSERT INTO generation_steps (id, session_id, parent_id, prompt, negative_prompt, parameters, model_key, model_hash,
                                  model_name, backend_id, correlation_id, batch_size, position)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12,
            (SELECT coalesce(max(position) + 1, 0) FROM generation_steps WHERE session_id = $2))
    ON CONFLICT (correlation_id) DO NOTHING RETURNING id
"""
TOUCH = "UPDATE generation_sessions SET updated_at = now() WHERE id = $1"
LOCK = """
    SELECT session_id, backend_id, status, parameters::text, batch_size, model_key, model_hash
      FROM generation_steps WHERE id = $1 AND deleted_at IS NULL FOR NO KEY UPDATE
"""
CANCEL = """
    UPDATE generation_steps SET cancel_requested_at = greatest(cancel_requested_at, $2), cancel_taken = false
     WHERE id = $1
"""
DISCARD = "UPDATE generation_steps SET deleted_at = $2 WHERE id = $1 AND deleted_at IS NULL"
REOPEN = "UPDATE generation_steps SET cancel_requested_at = NULL, backend_id = $2 WHERE id = $1"
# The seed of each image the step has: by its item, else by its own metadata, which may say anything.
MADE = """
    SELECT DISTINCT ON (a.photo_id)
           coalesce(b.seeds[i.ordinal + 1], CASE WHEN p.seed < 2::numeric ^ 63 THEN p.seed::bigint END) AS seed
      FROM step_alternatives a JOIN photos p ON p.id = a.photo_id
      LEFT JOIN queue_items i ON i.step_id = a.step_id AND i.invoke_session_id = p.invoke_session_id
      LEFT JOIN step_batches b ON b.batch_id = i.batch_id
     WHERE a.step_id = $1 ORDER BY a.photo_id, i.ordinal
"""


class Created(msgspec.Struct, frozen=True):
    step_id: UUID
    is_new: bool
    """False when the correlation id was known already."""


async def create_step(connection: Connection, session_id: UUID, asked: StepCreate) -> Created:
    """A pending step with its first batch prepared. The same correlation id gives the same step, also under a race;
    `Conflict` when that step was deleted."""
    if (existing := await _existing(connection, asked.correlation_id)) is not None:
        return existing
    if await connection.fetchrow(SESSION, session_id) is None:
        raise NotFound("There is no such session.")
    await _check_references(connection, session_id, asked)
    choice = await choose(connection, asked)
    step_id = await _insert(connection, session_id, asked, choice)
    if step_id is None:
        existing = await _existing(connection, asked.correlation_id)
        if existing is None:
            raise Conflict("correlation_id: the step that had it has just gone; try again")
        return existing
    await batches.prepare(connection, step_id, choice.backend_id, choice.parameters.seeds(asked.batch_size))
    await connection.execute(TOUCH, session_id)
    return Created(step_id, is_new=True)


async def cancel_step(connection: Connection, step_id: UUID, at: datetime) -> None:
    """What was never sent is taken back at once; the rest is canceled by the submitter, a POST that is out after its
    fate is known. `Conflict` once the step has ended; asking twice is asking once."""
    step = await _lock(connection, step_id)
    if step["status"] not in LIVE:
        raise Conflict(f"This step has ended already: it is {step['status']}.")
    await connection.execute(CANCEL, step_id, at)
    await batches.withdraw(connection, step_id, at)


async def retry_step(connection: Connection, step_id: UUID) -> None:
    """Prepares a batch of the seeds that made nothing. `Conflict` while the step is live, or when nothing is
    missing."""
    await hold_its_own(connection, step_id)
    step = await _lock(connection, step_id)
    if step["status"] in LIVE:
        raise Conflict(f"This step is still {step['status']}; cancel it first.")
    parameters = msgspec.json.decode(step["parameters"], type=Parameters)
    made = [row["seed"] for row in await connection.fetch(MADE, step_id)]
    seeds = missing(parameters.seeds(step["batch_size"]), made)
    if not seeds:
        raise Conflict("This step made everything it was asked for.")
    backend_id = step["backend_id"] or await default_backend(connection, step["model_key"], step["model_hash"])
    await connection.execute(REOPEN, step_id, backend_id)
    await batches.prepare(connection, step_id, backend_id, seeds)
    await refresh_step(connection, step_id)


async def delete_step(connection: Connection, step_id: UUID, at: datetime) -> UUID:
    """Its work is canceled, its pictures stay in the library. Returns its session."""
    step = await _lock(connection, step_id)
    await discard(connection, step_id, at)
    session_id: UUID = step["session_id"]
    return session_id


async def discard(connection: Connection, step_id: UUID, at: datetime) -> None:
    """Deletes the step, canceling what is live of it."""
    row = await connection.fetchrow("SELECT status FROM generation_steps WHERE id = $1 FOR NO KEY UPDATE", step_id)
    if row is not None and row["status"] in LIVE:
        await connection.execute(CANCEL, step_id, at)
        await batches.withdraw(connection, step_id, at)
    await connection.execute(DISCARD, step_id, at)


async def _existing(connection: Connection, correlation_id: str | None) -> Created | None:
    row = None if correlation_id is None else await connection.fetchrow(EXISTING, correlation_id)
    if row is None:
        return None
    if row["deleted_at"] is not None:
        raise Conflict("correlation_id: the step that has it was deleted")
    return Created(row["id"], is_new=False)


async def _check_references(connection: Connection, session_id: UUID, asked: StepCreate) -> None:
    if asked.source_photo_id is not None:
        raise ValidationError("source_photo_id: generating from a photo is not supported yet")
    if asked.parent_id is not None and await connection.fetchrow(PARENT, asked.parent_id, session_id) is None:
        raise ValidationError("parent_id: there is no such step in this session")


async def _insert(connection: Connection, session_id: UUID, asked: StepCreate, choice: Choice) -> UUID | None:
    row = await connection.fetchrow(
        CREATE,
        new_id(),
        session_id,
        asked.parent_id,
        asked.prompt,
        asked.negative_prompt or "",
        msgspec.json.encode(choice.parameters).decode(),
        asked.model_key,
        asked.model_hash,
        asked.model_name or choice.model_name,
        choice.backend_id,
        asked.correlation_id,
        asked.batch_size,
    )
    return None if row is None else row["id"]


async def _lock(connection: Connection, step_id: UUID) -> asyncpg.Record:
    row = await connection.fetchrow(LOCK, step_id)
    if row is None:
        raise NotFound("There is no such step.")
    return row
