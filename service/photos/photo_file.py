"""The columns of a photo that are about its files."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

import msgspec

from service.database.engine import Connection, Database
from service.errors import NotFound

PHOTO_FILE = """
    SELECT id, filename, mime_type, width, height, file_size, sha256, local_storage_path, local_thumbnail_path,
           large_bytes, retrieval_status, retrieval_attempts, retrieval_error,
           extract(epoch FROM next_retrieval_attempt - now())::float8 AS due_in
      FROM photos WHERE id = ANY($1::uuid[]) AND purged_at IS NULL
"""


class PhotoFile(msgspec.Struct, frozen=True):
    """A photo's row as far as its files are concerned."""

    id: UUID
    filename: str
    mime_type: str
    width: int
    height: int
    file_size: int | None
    sha256: str | None
    local_storage_path: str | None
    local_thumbnail_path: str | None
    large_bytes: int | None
    retrieval_status: str
    retrieval_attempts: int
    retrieval_error: str | None
    due_in: float | None


async def photo_file(database: Database, photo_id: UUID) -> PhotoFile:
    """The row of one photo. Raises NotFound, also for a purged one."""
    async with database.connection() as connection:
        found = (await photo_files(connection, [photo_id])).get(photo_id)
    if found is None:
        raise no_such_photo()
    return found


async def photo_files(connection: Connection, photo_ids: Collection[UUID]) -> dict[UUID, PhotoFile]:
    """The rows of those that exist and are not purged."""
    return {row["id"]: PhotoFile(*row) for row in await connection.fetch(PHOTO_FILE, photo_ids)}


def no_such_photo() -> NotFound:
    return NotFound("there is no such photo")
