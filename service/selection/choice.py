"""Selecting one of a step's alternatives, in the caller's transaction. The files follow (`mover.py`)."""

from __future__ import annotations

from uuid import UUID

import msgspec

from service.database.engine import Connection
from service.errors import NotFound, ValidationError
from service.media.layout import completed_path, generated_path, selected_path
from service.selection import moves

LOCK = """
    SELECT session_id, selected_image_id, selected_at FROM generation_steps
     WHERE id = $1 AND deleted_at IS NULL FOR NO KEY UPDATE
"""
# A purge locks the steps of its photos first.
ALTERNATIVE = """
    SELECT p.local_storage_path AS path FROM step_alternatives a JOIN photos p ON p.id = a.photo_id
     WHERE a.step_id = $1 AND a.photo_id = $2 AND p.purged_at IS NULL
"""
PATH = "SELECT local_storage_path FROM photos WHERE id = $1 AND purged_at IS NULL"
# Not now(), which is from before the wait for the step.
SELECT = """
    UPDATE generation_steps SET selected_image_id = $2::uuid,
           selected_at = CASE WHEN $2::uuid IS NOT NULL THEN clock_timestamp() END
     WHERE id = $1 RETURNING selected_at
"""


class Changed(msgspec.Struct, frozen=True):
    session_id: UUID
    photos: tuple[UUID, ...]
    """The new selection and the former one, if there are any; none if nothing has changed."""


async def select(connection: Connection, step_id: UUID, photo_id: UUID | None) -> Changed:
    """Selects the photo, or none. The same again changes nothing. Raises NotFound, and ValidationError for a photo that
    is no alternative of this step."""
    step = await connection.fetchrow(LOCK, step_id)
    if step is None:
        raise NotFound("There is no such step.")
    path = None
    if photo_id is not None:
        chosen = await connection.fetchrow(ALTERNATIVE, step_id, photo_id)
        if chosen is None:
            raise ValidationError("photo_id: this step has no such alternative")
        path = chosen["path"]
    session_id, former = step["session_id"], step["selected_image_id"]
    if photo_id == former:
        return Changed(session_id, ())
    selected_at = await connection.fetchval(SELECT, step_id, photo_id)
    names: dict[UUID, list[str | None]] = {}
    if photo_id is not None:
        names[photo_id] = [path, completed_path(selected_at, photo_id)]
    if former is not None:
        at = step["selected_at"]
        before = await connection.fetchval(PATH, former)
        names[former] = [before, completed_path(at, former) if at is not None else None]
    for photo in sorted(names):
        ids = session_id, step_id, photo
        known = [name for name in names[photo] if name is not None]
        await moves.note(connection, photo, [*known, selected_path(*ids), generated_path(*ids)])
    return Changed(session_id, tuple(names))
