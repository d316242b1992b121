"""Changes to sessions; each runs in its caller's transaction."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from service.api.request_body import VISIBLE_LINE
from service.database.engine import Connection
from service.errors import NotFound
from service.media.identity import new_id
from service.studio.steps import Created, StepCreate, create_step, discard

SessionName = Annotated[str, Meta(min_length=1, max_length=200, pattern=VISIBLE_LINE)]

FORGET = "DELETE FROM generation_sessions WHERE id = $1"
SESSION_OF = "SELECT session_id FROM generation_steps WHERE id = $1"
CREATE = "INSERT INTO generation_sessions (id, name) VALUES ($1, $2)"
RENAME = """
    UPDATE generation_sessions SET name = $2, updated_at = now() WHERE id = $1 AND deleted_at IS NULL RETURNING 1
"""
DELETE = "UPDATE generation_sessions SET deleted_at = $2 WHERE id = $1 AND deleted_at IS NULL RETURNING 1"
STEPS = "SELECT id FROM generation_steps WHERE session_id = $1 AND deleted_at IS NULL ORDER BY id"


class SessionUpdate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: SessionName


class SessionCreate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: SessionName = "Untitled"
    first_step: StepCreate | None = None
    """Created with the session, or neither is."""


class CreatedSession(msgspec.Struct, frozen=True):
    session_id: UUID
    first_step: Created | None


async def create_session(connection: Connection, asked: SessionCreate) -> CreatedSession:
    """With its first step, if one is asked for. The same correlation id gives the session that its step is in, also
    under a race; `Conflict` when that step was deleted."""
    session_id = new_id()
    await connection.execute(CREATE, session_id, asked.name)
    if asked.first_step is None:
        return CreatedSession(session_id, None)
    step = await create_step(connection, session_id, asked.first_step)
    if not step.is_new:
        await connection.execute(FORGET, session_id)
        session_id = await connection.fetchval(SESSION_OF, step.step_id)
    return CreatedSession(session_id, step)


async def rename_session(connection: Connection, session_id: UUID, name: str) -> None:
    if await connection.fetchrow(RENAME, session_id, name) is None:
        raise NotFound("There is no such session.")


async def delete_session(connection: Connection, session_id: UUID, at: datetime) -> list[UUID]:
    """Its steps go with it, which cancels what is live of them; pictures stay in the library. Returns those steps."""
    if await connection.fetchrow(DELETE, session_id, at) is None:
        raise NotFound("There is no such session.")
    step_ids = [row["id"] for row in await connection.fetch(STEPS, session_id)]
    for step_id in step_ids:
        await discard(connection, step_id, at)
    return step_ids
