"""Counts of photos by server and state, kept by triggers on `photos`, so that nothing has to count them.

`photo_counts` has several rows for each server, state and trash; their sum is the count. A trigger only inserts what a
statement changed, so no writer waits for another. The task here adds the rows of a key together now and then.

Photos from before the triggers are counted once, in one statement: it sees the photos, and the rows that the triggers
have written for them, at the same moment. Until then, reading counts the photos.
"""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from service.database.engine import Database

log = structlog.get_logger()

SUM_SECONDS: Final = 5.0
MOST_ROWS: Final = 200
"""Rows beyond one of each key, from which they are added together."""
COUNT_SECONDS: Final = 1_800.0

KEY: Final = "photo_counts"
"""The row of `settings` that says that the photos were counted. Without it they are counted anew."""
ARE_KEPT: Final = f"EXISTS (SELECT FROM settings WHERE key = '{KEY}')"
FROM_PHOTOS: Final = """
    SELECT backend_id, retrieval_status, deleted_at IS NOT NULL AS is_trashed, count(*) AS n FROM photos
     WHERE purged_at IS NULL AND {condition} GROUP BY backend_id, retrieval_status, deleted_at IS NOT NULL
"""
PHOTO_COUNTS: Final = f"""
    SELECT backend_id, retrieval_status, is_trashed, n FROM photo_counts WHERE {ARE_KEPT}
     UNION ALL {FROM_PHOTOS.format(condition=f"NOT {ARE_KEPT}")}
"""
"""A query whose rows are to be summed. It counts no photo that is purged."""
PHOTOS_IN_LIST: Final = f"SELECT coalesce(sum(n), 0)::bigint FROM ({PHOTO_COUNTS}) counts WHERE is_trashed = $1"
"""How many photos there are in the library (false), or in the trash (true)."""

BEGIN: Final = "INSERT INTO settings (key, value) VALUES ($1, 'true') ON CONFLICT DO NOTHING RETURNING key"
COUNT: Final = f"""
    INSERT INTO photo_counts (backend_id, retrieval_status, is_trashed, n)
    SELECT backend_id, retrieval_status, is_trashed, sum(n)
      FROM ({FROM_PHOTOS.format(condition="true")}
            UNION ALL SELECT backend_id, retrieval_status, is_trashed, -n FROM photo_counts) counted
     GROUP BY backend_id, retrieval_status, is_trashed HAVING sum(n) <> 0
"""
SUPERFLUOUS: Final = """
    SELECT count(*) - count(DISTINCT (backend_id, retrieval_status, is_trashed)) FROM photo_counts
"""
# What another process has deleted first is left to it.
ADD_TOGETHER: Final = """
    WITH former AS (DELETE FROM photo_counts RETURNING backend_id, retrieval_status, is_trashed, n)
    INSERT INTO photo_counts (backend_id, retrieval_status, is_trashed, n)
    SELECT backend_id, retrieval_status, is_trashed, sum(n) FROM former
     GROUP BY backend_id, retrieval_status, is_trashed HAVING sum(n) <> 0
"""


class PhotoCounts:
    """Supervised: counts what was there once, then keeps the rows few."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def run(self) -> None:
        await self.count()
        while True:
            await self.add_together()
            await asyncio.sleep(SUM_SECONDS)

    async def count(self) -> None:
        """The photos from before there were counts; once for a database, whichever process does it."""
        async with self._database.transaction() as connection:
            if await connection.fetchrow(BEGIN, KEY) is not None:
                await connection.execute(COUNT, timeout=COUNT_SECONDS)
                log.info("photos counted")

    async def add_together(self, more_than: int = MOST_ROWS) -> None:
        async with self._database.connection() as connection:
            if await connection.fetchval(SUPERFLUOUS) > more_than:
                await connection.execute(ADD_TOGETHER)
