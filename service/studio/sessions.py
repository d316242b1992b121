"""Changes to sessions; each runs in its caller's transaction."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from service.database.engine import Connection
from service.errors import NotFound
from service.media.identity import new_id
from service.studio.steps import discard

CREATE = "INSERT INTO generation_sessions (id, name) VALUES ($1, $2)"
RENAME = """
    UPDATE generation_sessions SET name = $2, updated_at = now() WHERE id = $1 AND deleted_at IS NULL RETURNING 1
"""
DELETE = "UPDATE generation_sessions SET deleted_at = $2 WHERE id = $1 AND deleted_at IS NULL RETURNING 1"
STEPS = "SELECT id FROM generation_steps WHERE session_id = $1 AND deleted_at IS NULL ORDER BY id"


async def create_session(connection: Connection, name: str) -> UUID:
    session_id = new_id()
    await connection.execute(CREATE, session_id, name)
    return session_id


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
