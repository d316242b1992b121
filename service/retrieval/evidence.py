"""Recorded images of a server, by which one photo's failure is told from trouble with all of them."""

from __future__ import annotations

from uuid import UUID

import msgspec

from service.database.engine import Database

OTHERS_WAIT = """
    SELECT EXISTS (SELECT FROM photos WHERE backend_id = $1 AND id <> $2 AND purged_at IS NULL
                      AND retrieval_status IN ('pending', 'retrieving'))
"""
# From both ends of the index: photos recorded long ago and lately, at a cost that does not grow with the library. As
# plain equalities the conditions would leave no order to read it backwards in.
END = """(
    SELECT invoke_id AS image_name, sha256, file_size, width::bigint * height AS pixels FROM photos
     WHERE backend_id BETWEEN $1 AND $1 AND retrieval_status BETWEEN '{status}' AND '{status}' AND purged_at IS NULL
       AND invoke_id IS NOT NULL AND id <> $2
     ORDER BY backend_id {order}, retrieval_status {order} LIMIT 10
)"""
SAMPLE = " UNION ALL ".join(
    END.format(status=status, order=order)
    for status, order in (
        ("completed", "DESC"),
        ("completed", "ASC"),
        ("retrieving", "DESC"),
        ("pending", "DESC"),
        ("failed", "DESC"),
    )
)


class Recorded(msgspec.Struct, frozen=True):
    """An image of a server. Hash and size are known once it is home."""

    image_name: str
    sha256: str | None
    file_size: int | None
    pixels: int


class Evidence:
    """Reads from the photos table when something has failed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def sample(self, backend_id: UUID, photo_id: UUID) -> list[Recorded]:
        """Some images of this server other than the photo's, at most 50."""
        async with self._database.connection() as connection:
            rows = {row["image_name"]: row for row in await connection.fetch(SAMPLE, backend_id, photo_id)}
        return [Recorded(**row) for row in rows.values()]

    async def others_wait(self, backend_id: UUID, photo_id: UUID) -> bool:
        """Whether other photos of this server wait."""
        async with self._database.connection() as connection:
            return bool(await connection.fetchval(OTHERS_WAIT, backend_id, photo_id))
