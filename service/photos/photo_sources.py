"""The table `photo_sources`: names of source images, and the photos that these are (recorded lineage).

A name is linked to its photo when the later of the two is recorded. So that neither of two transactions misses the
other, recording sources takes a lock shared, and recording images takes it exclusively.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from service.database.engine import Connection
from service.media.metadata.source_images import SourceImage

INIT_IMAGE = "init image"
LINKED_AT_ONCE = 5_000
"""Photos that are linked at once to a new source. If there are more, the background pass links the others."""

# Taken before any row is locked.
SHARED = "SELECT pg_advisory_xact_lock_shared(hashtextextended('photo sources', 0))"
ALONE = "SELECT pg_advisory_xact_lock(hashtextextended('photo sources', 0))"
STEPS_SOURCE = "SELECT source_image_id FROM photos WHERE id = $1"
# Photos of ours that were uploaded to the photo's server: there they have other names.
UPLOADS = """
    SELECT upload.image_name, upload.photo_id
      FROM photos JOIN backend_uploads upload ON upload.backend_id = photos.backend_id
     WHERE photos.id = $1 AND upload.image_name = ANY($2::text[])
"""
# Ids in order, as purges lock them. The photo itself is among them.
LOCK = """
    SELECT id, invoke_id FROM photos WHERE id = ANY($1::uuid[]) OR invoke_id = ANY($2::text[])
     ORDER BY id FOR NO KEY UPDATE
"""
RECORD = """
    INSERT INTO photo_sources AS known (photo_id, image_name, role, source_photo_id)
    SELECT $1, image_name, role, source_photo_id
      FROM unnest($2::text[], $3::text[], $4::uuid[]) AS source (image_name, role, source_photo_id)
    ON CONFLICT (photo_id, image_name, role) DO UPDATE SET source_photo_id = excluded.source_photo_id
     WHERE known.source_photo_id IS NULL AND excluded.source_photo_id IS NOT NULL
"""
# Rows of several photos are locked in this order, as purges lock them.
LINK = """
    UPDATE photo_sources SET source_photo_id = home.photo_id
      FROM (SELECT photo_id, image_name, role FROM photo_sources
             WHERE source_photo_id IS NULL AND (photo_id, image_name, role) IN (
                       SELECT photo_id, image_name, role FROM photo_sources
                        WHERE image_name = ANY($1::text[]) AND source_photo_id IS NULL LIMIT $3)
             ORDER BY photo_id, image_name, role FOR UPDATE) AS made
      JOIN unnest($1::text[], $2::uuid[]) AS home (image_name, photo_id) USING (image_name)
     WHERE photo_sources.photo_id = made.photo_id AND photo_sources.image_name = made.image_name
       AND photo_sources.role = made.role AND made.photo_id <> home.photo_id
"""
LINK_OWN = """
    UPDATE photo_sources SET source_photo_id = home.photo_id
      FROM unnest($2::text[], $3::uuid[]) AS home (image_name, photo_id)
     WHERE photo_sources.photo_id = $1 AND photo_sources.image_name = home.image_name AND source_photo_id IS NULL
"""
UNLINKED = """
    SELECT photo_id, image_name, role, source_photo_id IS NULL AND EXISTS (
               SELECT FROM photos WHERE invoke_id = image_name AND id <> photo_id) AS is_here
      FROM (SELECT photo_id, image_name, role, source_photo_id FROM photo_sources
             WHERE photo_id < $1 ORDER BY photo_id DESC LIMIT $2) AS looked_at
     ORDER BY photo_id DESC
"""


async def lock(connection: Connection, photo_id: UUID, sources: Sequence[SourceImage]) -> dict[str, UUID]:
    """Locks the photo and those of its sources that are photos, and returns these by name. Call it in the transaction
    that changes the photo, before the change."""
    await connection.execute(SHARED)
    names = [source.image_name for source in sources]
    steps_source = await connection.fetchval(STEPS_SOURCE, photo_id)
    uploads = {row["image_name"]: row["photo_id"] for row in await connection.fetch(UPLOADS, photo_id, names)}
    rows = await connection.fetch(LOCK, [photo_id, steps_source, *uploads.values()], names)
    photos = {row["invoke_id"]: row["id"] for row in rows}
    # Photos that were removed in between are not among the rows.
    here = {row["id"] for row in rows}
    photos |= {name: photo for name, photo in uploads.items() if photo in here}
    photos = {name: photos[name] for name in names if photos.get(name, photo_id) != photo_id}
    if steps_source in here and steps_source not in photos.values():
        # A graph of ours has one source. Its upload is unknown if it was removed at the server since.
        unknown = {source.image_name for source in sources if source.role == INIT_IMAGE} - photos.keys()
        if len(unknown) == 1:
            photos[unknown.pop()] = steps_source
    return photos


async def record(
    connection: Connection, photo_id: UUID, sources: Sequence[SourceImage], photos: Mapping[str, UUID]
) -> None:
    """Adds names that are not recorded yet, and links those that were not linked. `photos` is what `lock` returned."""
    names = [source.image_name for source in sources]
    await connection.execute(
        RECORD, photo_id, names, [source.role for source in sources], [photos.get(name) for name in names]
    )


async def before_recording_images(connection: Connection) -> None:
    """Call it in the transaction that inserts photos with image names, before it locks any row."""
    await connection.execute(ALONE)


async def link(connection: Connection, photos: Mapping[str, UUID]) -> None:
    """Links the photos just inserted as sources of photos that have their names. Call it after all inserts."""
    await connection.execute(LINK, list(photos), list(photos.values()), LINKED_AT_ONCE)


async def link_own(connection: Connection, photo_id: UUID, sources: Sequence[SourceImage]) -> None:
    """Links the recorded sources of a photo to photos. Call it in a transaction."""
    photos = await lock(connection, photo_id, sources)
    await connection.execute(LINK_OWN, photo_id, list(photos), list(photos.values()))


async def unlinked(
    connection: Connection, behind: UUID, at_most: int
) -> tuple[dict[UUID, list[SourceImage]], UUID | None]:
    """Sources that are photos here and not linked yet, for photos after that id, the newest first; and the id to go on
    after, None at the end. At most so many rows are read; it must be more than one photo has."""
    rows = await connection.fetch(UNLINKED, behind, at_most)
    next_behind = None
    if len(rows) == at_most:
        # The last photo may have more rows: it is read again, as the first of the next call.
        rows = [row for row in rows if row["photo_id"] != rows[-1]["photo_id"]]
        next_behind = rows[-1]["photo_id"]
    found: dict[UUID, list[SourceImage]] = {}
    for row in rows:
        if row["is_here"]:
            found.setdefault(row["photo_id"], []).append(SourceImage(row["image_name"], row["role"]))
    return found, next_behind
