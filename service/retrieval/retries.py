"""Photos that were given up and are tried again: many at once when the owner asks, failed ones by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from service.database.engine import Connection, Database

AT_ONCE = 500
FIRST = UUID(int=0)

CAN_RETRY = """(retrieval_status IN ('failed', 'gone')
    OR retrieval_status = 'pending' AND (retrieval_attempts > 0 OR retrieval_error IS NOT NULL))
    AND purged_at IS NULL AND backend_id IS NOT NULL"""
"""Given up, or waiting after something went wrong; and its server is known."""

# A removal takes photos their server, with its row locked: it is held until they wait for it again.
BACKENDS_OF = "SELECT DISTINCT backend_id FROM photos WHERE id = ANY($1::uuid[]) AND backend_id IS NOT NULL"
HOLD_BACKENDS = "SELECT FROM backends WHERE id = ANY($1::uuid[]) ORDER BY id FOR KEY SHARE"
# What changes several rows locks them by id, as purges do.
RETRY_MANY = f"""
    UPDATE photos SET retrieval_status = 'pending', retrieval_attempts = 0, missing_since = NULL,
           retrieval_error = NULL, next_retrieval_attempt = now()
     WHERE id IN (SELECT id FROM photos WHERE id = ANY($1::uuid[]) AND {CAN_RETRY} ORDER BY id FOR UPDATE)
    RETURNING id
"""
# A moment in the future is of a clock that was set back since: as good as long ago.
RETRY_FAILED = """
    UPDATE photos SET retrieval_status = 'pending', next_retrieval_attempt = now()
     WHERE id IN (SELECT id FROM photos
                   WHERE backend_id = $1 AND retrieval_status = 'failed' AND purged_at IS NULL AND id > $2
                     AND ($4::float8 IS NULL OR last_retrieval_attempt IS NULL
                          OR last_retrieval_attempt NOT BETWEEN now() - $4 * interval '1 second' AND now())
                   ORDER BY id LIMIT $3 FOR UPDATE)
    RETURNING id
"""


async def retry_many(connection: Connection, photo_ids: Sequence[UUID]) -> list[UUID]:
    """failed, gone, or pending after something went wrong → pending, due now, all attempts before them; in the caller's
    transaction. Those that were."""
    backends = [row["backend_id"] for row in await connection.fetch(BACKENDS_OF, photo_ids)]
    await connection.execute(HOLD_BACKENDS, backends)
    return [row["id"] for row in await connection.fetch(RETRY_MANY, photo_ids)]


async def retry_failed(database: Database, backend_id: UUID, *, untried_for: float | None = None) -> list[UUID]:
    """failed → pending, for one attempt more: their count stays. Those that were; all of this server's, or those that
    were not tried for so many seconds."""
    retried: list[UUID] = []
    after = FIRST
    while True:
        async with database.transaction() as connection:
            await connection.execute(HOLD_BACKENDS, [backend_id])
            rows = await connection.fetch(RETRY_FAILED, backend_id, after, AT_ONCE, untried_for)
        retried += [row["id"] for row in rows]
        if len(rows) < AT_ONCE:
            return retried
        after = max(row["id"] for row in rows)
