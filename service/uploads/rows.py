"""SQL for uploads: the new row, and rows with the same bytes."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg
import msgspec
import structlog

from service.database.engine import Connection
from service.media.metadata.read import Found
from service.media.sizes import Size
from service.photos import derive, photo_sources
from service.photos.derive import Derived

log = structlog.get_logger()


class Same(msgspec.Struct, frozen=True):
    """A photo that has, or had, the bytes of an upload."""

    id: UUID
    path: str
    file_size: int | None
    is_home: bool
    is_trashed: bool


class NewPhoto(NamedTuple):
    """The values of a new row, in the order of `INSERT`."""

    id: UUID
    filename: str
    file_size: int
    mime_type: str
    created_at: datetime
    path: str
    thumbnail_path: str
    sha256: str
    thumbhash: str | None
    thumbnail_size: Size
    large_bytes: int | None
    damaged: bool
    size: Size
    found: Found


# A photo that is being fetched is looked at again once it is here.
SAME = """
    SELECT id, local_storage_path AS path, file_size, retrieval_status = 'completed' AS is_home,
           deleted_at IS NOT NULL AS is_trashed
      FROM photos
     WHERE sha256 = $1 AND purged_at IS NULL AND local_storage_path IS NOT NULL
     ORDER BY retrieval_status = 'completed' DESC, deleted_at IS NOT NULL, id LIMIT 1
"""
# The same row may be sent again, if an answer did not come; and another upload may have the same bytes.
INSERT = f"""
    WITH added AS (
        INSERT INTO photos (id, filename, file_size, mime_type, created_at, local_storage_path, local_thumbnail_path,
               sha256, thumbhash, thumbnail_width, thumbnail_height, large_bytes, damaged, is_generated, rating,
               source_text, generation_params, generation_prompt, generation_negative_prompt, model_key, model_hash,
               model_name, model_base, loras, seed, width, height, params_summary,
               source, retrieval_status, next_retrieval_attempt, derived)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17::jsonb, $18, $19, $20, $21,
                $22, $23, $24::text[], $25::numeric, $26, $27, $28::jsonb, 'uploaded', 'completed', NULL,
                {derive.VERSION})
        ON CONFLICT DO NOTHING RETURNING id
    )
    SELECT EXISTS (SELECT FROM added) OR EXISTS (SELECT FROM photos WHERE id = $1)
"""
RESTORE = """
    UPDATE photos SET deleted_at = NULL WHERE id = $1 AND purged_at IS NULL AND retrieval_status = 'completed'
    RETURNING id
"""


async def same_bytes(connection: Connection, sha256: str) -> Same | None:
    """The photo with these bytes, preferably one that is home."""
    row = await connection.fetchrow(SAME, sha256)
    return Same(**row) if row is not None else None


async def restore(connection: Connection, photo_id: UUID) -> bool:
    """Takes it out of the trash; False if it is no longer home."""
    return await connection.fetchval(RESTORE, photo_id) is not None


async def insert(connection: Connection, photo: NewPhoto) -> bool:
    """Inserts the row; False if another photo has these bytes. It may be called again with the same photo."""
    try:
        return await _insert(connection, photo)
    except (asyncpg.DataError, asyncpg.ProgramLimitExceededError) as error:
        log.warning("metadata cannot be kept", photo=str(photo.id), reason=str(error))
        return await _insert(connection, photo._replace(found=Found()))


async def _insert(connection: Connection, photo: NewPhoto) -> bool:
    found = photo.found
    derived = Derived(found.parameters, found.sources, photo.size)
    values = (
        *photo[:9],
        *photo.thumbnail_size,
        photo.large_bytes,
        photo.damaged,
        found.parameters is not None,
        found.rating or 0,
        found.text,
        *derive.columns(derived),
    )
    if not derived.sources:
        return bool(await connection.fetchval(INSERT, *values))
    async with connection.transaction():
        is_there = bool(await connection.fetchval(INSERT, *values))
        if is_there:
            photos = await photo_sources.lock(connection, photo.id, derived.sources)
            await photo_sources.record(connection, photo.id, derived.sources, photos)
    return is_there
