"""A server known by two addresses becomes one backend: what is under way at the one goes on at the other. Each function
runs in its caller's transaction."""

from __future__ import annotations

from uuid import UUID

import msgspec

from service.database.engine import Connection


class HandedOver(msgspec.Struct, frozen=True):
    """What changed hands."""

    before: UUID
    to: UUID
    step_ids: tuple[UUID, ...]
    photos: int

    @property
    def something(self) -> bool:
        return bool(self.step_ids or self.photos)


# As the lock order asks: steps first, one after the other.
LOCK_STEPS = """
    SELECT id FROM generation_steps
     WHERE backend_id = $1 OR id IN (SELECT step_id FROM step_batches WHERE backend_id = $1)
     ORDER BY id FOR NO KEY UPDATE
"""
STEPS = "UPDATE generation_steps SET backend_id = $2 WHERE backend_id = $1"
BATCHES = "UPDATE step_batches SET backend_id = $2 WHERE backend_id = $1"
UPLOADS = """
    INSERT INTO backend_uploads (backend_id, image_name, photo_id)
    SELECT $2, image_name, photo_id FROM backend_uploads WHERE backend_id = $1 ON CONFLICT DO NOTHING
"""
PHOTOS = """
    UPDATE photos SET backend_id = $2
     WHERE id IN (SELECT id FROM photos WHERE backend_id = $1 AND retrieval_status <> 'completed'
                   ORDER BY id FOR UPDATE)
    RETURNING id
"""
LOGIN = """
    UPDATE backends later SET enabled = true, credentials = coalesce($3, later.credentials, before.credentials)
      FROM backends before WHERE before.id = $1 AND later.id = $2
"""
# What the one had not read of their gallery yet, the other reads.
READINGS = """
    UPDATE backends later SET
           created_at = least(later.created_at, before.created_at),
           gallery_watermark = CASE WHEN before.gallery_watermark IS NOT NULL
                                    THEN least(later.gallery_watermark, before.gallery_watermark) END,
           gallery_beginning = CASE WHEN before.gallery_beginning IS NOT NULL
                                    THEN least(later.gallery_beginning, before.gallery_beginning) END,
           gallery_older = coalesce(before.gallery_older, later.gallery_older)
      FROM backends before WHERE before.id = $1 AND later.id = $2 AND before.mirror = 'all'
"""
DISABLE = "UPDATE backends SET enabled = false WHERE id = $1"


async def merge(connection: Connection, before: UUID, to: UUID, credentials: str | None) -> HandedOver:
    """The later one is to be watched, from where the former had come; the former never again."""
    await connection.execute(LOGIN, before, to, credentials)
    await connection.execute(READINGS, before, to)
    await connection.execute(DISABLE, before)
    return await hand_over(connection, before, to)


async def hand_over(connection: Connection, before: UUID, to: UUID) -> HandedOver:
    """All that is not over yet. What is home stays where it was made."""
    steps = [row["id"] for row in await connection.fetch(LOCK_STEPS, before)]
    for statement in (STEPS, BATCHES, UPLOADS):
        await connection.execute(statement, before, to)
    photos = await connection.fetch(PHOTOS, before, to)
    return HandedOver(before, to, tuple(steps), len(photos))
