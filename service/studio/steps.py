"""Creates, cancels, retries and deletes steps, each in its caller's transaction.
The studio's worker reads from the tables what has to be sent to InvokeAI."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated
from uuid import UUID

import asyncpg
import msgspec
import structlog
from msgspec import Meta

from service.backends.registry import Registry
from service.database.engine import Connection, Database
from service.errors import BackendUnavailable, Conflict, NotFound, ValidationError
from service.media.identity import new_id
from service.models.rows import KnownModel, find_model, unfit, unsupported
from service.steps import batches
from service.steps.item_state import TERMINAL
from service.steps.parameters import NO_NUL, Key, Parameters, checked, model_settings, with_defaults
from service.steps.status import refresh_step
from service.steps.submission import missing

log = structlog.get_logger()

LIVE = frozenset({"pending", "processing"})
MOST_ALTERNATIVES = 100
CANCEL_SECONDS = 15.0

Prompt = Annotated[str, Meta(max_length=20_000, pattern=NO_NUL)]

EXISTING = "SELECT id, deleted_at FROM generation_steps WHERE correlation_id = $1"
# Not FOR UPDATE: changing a step twice in one transaction checks its foreign keys again, which must not wait here.
SESSION = "SELECT FROM generation_sessions WHERE id = $1 AND deleted_at IS NULL FOR NO KEY UPDATE"
PARENT = "SELECT FROM generation_steps WHERE id = $1 AND session_id = $2 AND deleted_at IS NULL"
CREATE = """
    INSERT INTO generation_steps (id, session_id, parent_id, prompt, negative_prompt, parameters, model_key, model_hash,
                                  model_name, backend_id, correlation_id, batch_size, source_photo_id, position)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13,
            (SELECT coalesce(max(position) + 1, 0) FROM generation_steps WHERE session_id = $2))
    ON CONFLICT (correlation_id) DO NOTHING RETURNING id
"""
# Locked, so that a purge finds the step that names it, or the step finds the purge.
SOURCE = "SELECT retrieval_status FROM photos WHERE id = $1 AND purged_at IS NULL FOR SHARE"
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
# Enabled ones first, then those that have the model, then the environment's, then the oldest.
BACKEND = """
    SELECT b.id FROM backends b
     ORDER BY b.enabled DESC,
              EXISTS (SELECT FROM models m WHERE m.backend_id = b.id
                         AND m.left_at IS NULL
                         AND (m.key = $1 OR (m.hash = $2 AND m.type = 'main'))) DESC,
              b.id = (SELECT (value->>'backend_id')::uuid FROM settings WHERE key = 'environment_backend')
                  DESC NULLS LAST,
              b.created_at, b.id
     LIMIT 1
"""
HOLD_BACKEND = "SELECT FROM backends WHERE id = $1 FOR KEY SHARE"
HOLD_BACKEND_OF_STEP = (
    "SELECT FROM backends WHERE id = (SELECT backend_id FROM generation_steps WHERE id = $1) FOR KEY SHARE"
)
# The number alone is no identity: a new database of InvokeAI counts from 1 again.
OWN_ITEM = """
    SELECT i.batch_id, i.status
      FROM queue_items i JOIN step_batches b USING (batch_id) JOIN generation_steps s ON s.id = b.step_id
     WHERE b.backend_id = $1 AND i.item_id = $2 AND s.deleted_at IS NULL
     ORDER BY i.created_at DESC NULLS LAST LIMIT 1
"""


class StepCreate(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    prompt: Annotated[Prompt, Meta(min_length=1)]
    negative_prompt: Prompt | None = None
    model_key: Key
    model_hash: Key
    model_name: Key | None = None
    parameters: Parameters = Parameters()
    batch_size: Annotated[int, Meta(ge=1, le=MOST_ALTERNATIVES)] = 1
    parent_id: UUID | None = None
    source_photo_id: UUID | None = None
    backend_id: UUID | None = None
    """Default: the environment's backend, else the oldest enabled one that has the model."""
    correlation_id: Key | None = None
    """The client's own key: the same again gives the existing step."""


class Created(msgspec.Struct, frozen=True):
    step_id: UUID
    is_new: bool
    """False when the correlation id was known already."""


class _Choice(msgspec.Struct, frozen=True):
    """`parameters` have a seed, and every default where the model is known already."""

    backend_id: UUID
    parameters: Parameters
    model_name: str | None


async def create_step(connection: Connection, session_id: UUID, asked: StepCreate) -> Created:
    """A pending step with its first batch. The same correlation id gives the same step, also under a race; `Conflict`
    when that step was deleted, or its source is not home."""
    if (existing := await _existing(connection, asked.correlation_id)) is not None:
        return existing
    if await connection.fetchrow(SESSION, session_id) is None:
        raise NotFound("There is no such session.")
    if asked.parent_id is not None and await connection.fetchrow(PARENT, asked.parent_id, session_id) is None:
        raise ValidationError("parent_id: there is no such step in this session")
    choice = await _choose(connection, asked)
    await _check_source(connection, asked.source_photo_id)
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
    """What was never sent is dropped at once; the rest is canceled at InvokeAI, what is being sent once its outcome is
    known. `Conflict` once the step has ended; a second cancel of a live step is harmless."""
    step = await _lock(connection, step_id)
    if step["status"] not in LIVE:
        raise Conflict(f"This step has ended already: it is {step['status']}.")
    await connection.execute(CANCEL, step_id, at)
    await batches.drop_unsent(connection, step_id)


async def cancel_item(database: Database, registry: Registry, backend_id: UUID, item_id: int) -> None:
    """Cancels one item of a step at InvokeAI, and has it read afterwards. `NotFound` for one that is not Darkroom's,
    `Conflict` once it has ended, `BackendUnavailable` while InvokeAI does not answer. A canceled one stays canceled."""
    row = None
    if 0 < item_id < 2**63:  # negative ones stand for items that were not seen yet
        async with database.connection() as connection:
            row = await connection.fetchrow(OWN_ITEM, backend_id, item_id)
    if row is None:
        raise NotFound("There is no such item of Darkroom's on this server.")
    if row["status"] == "canceled":
        return
    if row["status"] in TERMINAL:
        raise Conflict(f"This item has ended already: it is {row['status']}.")
    client = registry.client(backend_id)
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
        registry.request_reading(backend_id, [item_id])
    log.info("canceled", backend=str(backend_id), item=item_id)


async def retry_step(connection: Connection, step_id: UUID) -> None:
    """Prepares a batch of the seeds that made nothing. `Conflict` while the step is live, or when nothing is
    missing."""
    # Before the step is locked: a removal locks the backend, then its steps.
    await connection.execute(HOLD_BACKEND_OF_STEP, step_id)
    step = await _lock(connection, step_id)
    if step["status"] in LIVE:
        raise Conflict(f"This step is still {step['status']}; cancel it first.")
    parameters = msgspec.json.decode(step["parameters"], type=Parameters)
    made = [row["seed"] for row in await connection.fetch(MADE, step_id)]
    seeds = missing(parameters.seeds(step["batch_size"]), made)
    if not seeds:
        raise Conflict("This step made everything it was asked for.")
    backend_id = step["backend_id"] or await _default_backend(connection, step["model_key"], step["model_hash"])
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
        await batches.drop_unsent(connection, step_id)
    await connection.execute(DISCARD, step_id, at)


# --- which backend makes a step, and with which parameters ---


async def _choose(connection: Connection, asked: StepCreate) -> _Choice:
    """Raises `ValidationError` for what is known to be wrong now. A model that is not in the cache may be new at
    InvokeAI, so the step stays pending and InvokeAI is asked when it is sent."""
    backend_id = asked.backend_id
    if backend_id is None:
        backend_id = await _default_backend(connection, asked.model_key, asked.model_hash)
    elif not await _hold_backend(connection, backend_id):
        raise ValidationError("backend_id: there is no such backend")
    parameters = checked(asked.parameters, has_source=asked.source_photo_id is not None)
    model = await find_model(connection, backend_id, asked.model_key, asked.model_hash)
    if model is None:
        return _Choice(backend_id, parameters, asked.model_name)
    if (objection := unsupported(model)) is not None:
        raise ValidationError(f"model_key: {objection}")
    await _check_loras(connection, backend_id, parameters, model)
    settings = model_settings(model.default_settings)
    return _Choice(backend_id, with_defaults(parameters, settings, model.base), model.name)


async def _default_backend(connection: Connection, key: str, hash: str) -> UUID:
    """The environment's backend, else the oldest enabled one that has the model; a disabled one only where there is no
    other. `ValidationError` when there is none at all."""
    while (row := await connection.fetchrow(BACKEND, key, hash)) is not None:
        backend_id: UUID = row["id"]
        if await _hold_backend(connection, backend_id):
            return backend_id
    raise ValidationError("backend_id: there is no backend; add one first")


async def _hold_backend(connection: Connection, backend_id: UUID) -> bool:
    """Keeps the backend from being removed until this transaction ends: a removal then finds what was begun there.
    False when it is gone."""
    return await connection.fetchrow(HOLD_BACKEND, backend_id) is not None


async def _check_loras(connection: Connection, backend_id: UUID, parameters: Parameters, model: KnownModel) -> None:
    for lora in parameters.chosen_loras:
        found = await find_model(connection, backend_id, lora.key, type="lora")
        if found is not None and (objection := unfit(found, model)) is not None:
            raise ValidationError(f"parameters.loras: {objection}")


# --- rows ---


async def _existing(connection: Connection, correlation_id: str | None) -> Created | None:
    row = None if correlation_id is None else await connection.fetchrow(EXISTING, correlation_id)
    if row is None:
        return None
    if row["deleted_at"] is not None:
        raise Conflict("correlation_id: the step that has it was deleted")
    return Created(row["id"], is_new=False)


async def _check_source(connection: Connection, photo_id: UUID | None) -> None:
    """Call it once the backend is locked: removing a backend locks it first, and then its photos."""
    if photo_id is None:
        return
    photo = await connection.fetchrow(SOURCE, photo_id)
    if photo is None:
        raise ValidationError("source_photo_id: there is no such photo")
    if photo["retrieval_status"] != "completed":
        raise Conflict("source_photo_id: this photo is not here yet; try again once it is")


async def _insert(connection: Connection, session_id: UUID, asked: StepCreate, choice: _Choice) -> UUID | None:
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
        asked.source_photo_id,
    )
    return None if row is None else row["id"]


async def _lock(connection: Connection, step_id: UUID) -> asyncpg.Record:
    row = await connection.fetchrow(LOCK, step_id)
    if row is None:
        raise NotFound("There is no such step.")
    return row
