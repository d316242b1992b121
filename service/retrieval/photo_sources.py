"""The table `photo_sources`: the images that photos were made from, by name, and the photos that these are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from service.database.engine import Connection
from service.media.metadata.source_images import SourceImage

# With their ids in order, as purges lock them. The photo itself is among them.
LOCK = "SELECT id, invoke_id FROM photos WHERE id = $1 OR invoke_id = ANY($2::text[]) ORDER BY id FOR NO KEY UPDATE"
RECORD = """
    INSERT INTO photo_sources (photo_id, image_name, role, source_photo_id)
    SELECT $1, image_name, role, source_photo_id
      FROM unnest($2::text[], $3::text[], $4::uuid[]) AS source (image_name, role, source_photo_id)
    ON CONFLICT DO NOTHING
"""


async def lock(connection: Connection, photo_id: UUID, sources: Sequence[SourceImage]) -> dict[str, UUID]:
    """Locks the photo and those of its sources that are photos; these by their name. Call it in the transaction that
    changes the photo, before it does."""
    rows = await connection.fetch(LOCK, photo_id, [source.image_name for source in sources])
    return {row["invoke_id"]: row["id"] for row in rows if row["id"] != photo_id}


async def record(
    connection: Connection, photo_id: UUID, sources: Sequence[SourceImage], photos: Mapping[str, UUID]
) -> None:
    """Adds those that are not recorded yet. `photos` is what `lock` returned."""
    names = [source.image_name for source in sources]
    await connection.execute(
        RECORD, photo_id, names, [source.role for source in sources], [photos.get(name) for name in names]
    )
