"""Albums as the API shows them."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from service.database.engine import Connection
from service.live.messages import Album

ALBUMS = """
    SELECT id, name, description, cover_photo_id, created_at, updated_at,
           (SELECT count(*) FROM album_photo m JOIN photos p ON p.id = m.photo_id
             WHERE m.album_id = a.id AND p.deleted_at IS NULL AND p.purged_at IS NULL) AS count
      FROM albums a WHERE id = ANY($1::uuid[])
"""


async def albums_by_ids(connection: Connection, ids: Iterable[UUID]) -> dict[UUID, Album]:
    """Those that exist; photos in the trash are not counted."""
    rows = await connection.fetch(ALBUMS, list(ids))
    return {row["id"]: Album(**dict(row)) for row in rows}
