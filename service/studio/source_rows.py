"""SQL for steps' source images (source is a photo).
It reads which batches wait for a source and by which names a server may have it, and writes the upload that was begun.
"""

from __future__ import annotations

from uuid import UUID

import msgspec

from service.database.engine import Connection

MOST_AWAITED = 1000
PURGED_SOURCE = "the photo that it was to be made from was deleted for good"
"""Why a step is refused, for the owner."""

# Those that are not home last: nothing can be done about them here.
AWAITED = """
    SELECT s.source_photo_id AS photo_id FROM step_batches b JOIN generation_steps s ON s.id = b.step_id
      JOIN photos p ON p.id = s.source_photo_id
     WHERE b.backend_id = $1 AND b.state = 'waiting'
     GROUP BY s.source_photo_id, p.retrieval_status
     ORDER BY p.retrieval_status <> 'completed', min(b.ordinal) LIMIT $2
"""
PURGED = """
    SELECT b.batch_id, b.step_id FROM step_batches b JOIN generation_steps s ON s.id = b.step_id
      JOIN photos p ON p.id = s.source_photo_id
     WHERE b.state = 'waiting' AND p.purged_at IS NOT NULL ORDER BY b.step_id, b.ordinal
"""
BATCHES = """
    SELECT b.batch_id, b.step_id FROM step_batches b JOIN generation_steps s ON s.id = b.step_id
     WHERE b.backend_id = $1 AND b.state = 'waiting' AND s.source_photo_id = $2 ORDER BY b.ordinal
"""
# An image that the server made itself: also where it has another queue, or was removed and added again.
SOURCE = """
    SELECT p.purged_at IS NOT NULL AS is_purged,
           CASE WHEN p.backend_id IS NULL OR EXISTS (SELECT FROM backends own JOIN backends other USING (url)
                                                      WHERE own.id = $1 AND other.id = p.backend_id)
                THEN p.invoke_id END AS own_name,
           ARRAY(SELECT image_name FROM backend_uploads WHERE backend_id = $1 AND photo_id = $2
                  ORDER BY image_name) AS uploads,
           begun.token AS begun_token, coalesce(begun.file_size, 0) AS begun_size
      FROM photos p LEFT JOIN source_uploads begun ON begun.backend_id = $1 AND begun.photo_id = p.id
     WHERE p.id = $2
"""
BEGIN = """
    INSERT INTO source_uploads AS begun (backend_id, photo_id, token, file_size) VALUES ($1, $2, $3, $4)
    ON CONFLICT (backend_id, photo_id) DO UPDATE
       SET token = excluded.token, file_size = excluded.file_size, sent_at = now()
     WHERE begun.token = $5
    RETURNING 1
"""
# The backend has the photo by this name.
KEEP_UPLOAD = """
    WITH ended AS (DELETE FROM source_uploads WHERE backend_id = $1 AND photo_id = $2 AND token = $4)
    INSERT INTO backend_uploads (backend_id, image_name, photo_id) VALUES ($1, $3, $2) ON CONFLICT DO NOTHING
"""
# It certainly had no effect.
DROP_UPLOAD = "DELETE FROM source_uploads WHERE backend_id = $1 AND photo_id = $2 AND token = $3"
# The backend has no images by these names any more.
FORGET_UPLOADS = "DELETE FROM backend_uploads WHERE backend_id = $1 AND photo_id = $2 AND image_name = ANY($3::text[])"


class Waiting(msgspec.Struct, frozen=True):
    """A batch that waits for its source."""

    batch_id: str
    step_id: UUID


class KnownSource(msgspec.Struct, frozen=True):
    """A photo, the names by which the backend may have it, and its upload there of which no answer is known."""

    is_purged: bool
    own_name: str | None
    uploads: list[str]
    begun_token: str | None
    begun_size: int


async def awaited(connection: Connection, backend_id: UUID) -> list[UUID]:
    """The photos that batches of this backend wait for, the one that was asked for first in front."""
    return [row["photo_id"] for row in await connection.fetch(AWAITED, backend_id, MOST_AWAITED)]


async def waiting_batches(connection: Connection, backend_id: UUID, photo_id: UUID) -> list[Waiting]:
    return [Waiting(**dict(row)) for row in await connection.fetch(BATCHES, backend_id, photo_id)]


async def waiting_for_purged(connection: Connection) -> list[Waiting]:
    """Batches, of all backends, whose source was purged."""
    return [Waiting(**dict(row)) for row in await connection.fetch(PURGED)]


async def known_source(connection: Connection, backend_id: UUID, photo_id: UUID) -> KnownSource | None:
    row = await connection.fetchrow(SOURCE, backend_id, photo_id)
    return None if row is None else KnownSource(**dict(row))


async def begin_upload(
    connection: Connection, backend_id: UUID, photo_id: UUID, token: str, file_size: int, *, instead_of: str | None
) -> bool:
    """Inserts an upload; commit it before anything is sent. False if another upload of the photo to this backend was
    begun than the one that this is `instead_of`."""
    values = backend_id, photo_id, token, file_size, instead_of
    return await connection.fetchrow(BEGIN, *values) is not None
