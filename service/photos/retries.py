"""SQL for fetching photos again: lost ones (rows are true), those that the owner asks for, and failed ones.

Each statement names the state it leaves. For a lost file it names the file that was looked at as well: one that was
moved or replaced in between is another. The checksum stays, to recognise the same bytes when they come again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal
from uuid import UUID

from service.database.engine import Connection, Database

AT_ONCE = 500
FIRST = UUID(int=0)

CAN_RETRY = """(retrieval_status IN ('failed', 'gone')
    OR retrieval_status = 'pending' AND (retrieval_attempts > 0 OR retrieval_error IS NOT NULL))
    AND purged_at IS NULL AND backend_id IS NOT NULL"""
"""Photos that failed, or wait after a failure, and have a server."""

# Removing a server takes its photos' `backend_id`, with its row locked: it is locked here until they wait for it again.
BACKENDS_OF = "SELECT DISTINCT backend_id FROM photos WHERE id = ANY($1::uuid[]) AND backend_id IS NOT NULL"
HOLD_BACKENDS = "SELECT FROM backends WHERE id = ANY($1::uuid[]) ORDER BY id FOR KEY SHARE"
# Statements that change several rows lock them by id, as purges do.
RETRY_MANY = f"""
    UPDATE photos SET retrieval_status = 'pending', retrieval_attempts = 0, missing_since = NULL,
           retrieval_error = NULL, next_retrieval_attempt = now()
     WHERE id IN (SELECT id FROM photos WHERE id = ANY($1::uuid[]) AND {CAN_RETRY} ORDER BY id FOR UPDATE)
    RETURNING id
"""
# A time in the future comes from a clock that was set back since: it counts as long ago.
RETRY_FAILED = """
    UPDATE photos SET retrieval_status = 'pending', next_retrieval_attempt = now()
     WHERE id IN (SELECT id FROM photos
                   WHERE backend_id = $1 AND retrieval_status = 'failed' AND purged_at IS NULL AND id > $2
                     AND ($4::float8 IS NULL OR last_retrieval_attempt IS NULL
                          OR last_retrieval_attempt NOT BETWEEN now() - $4 * interval '1 second' AND now())
                   ORDER BY id LIMIT $3 FOR UPDATE)
    RETURNING id
"""
# Due before all others of its backend: every second claim takes the longest due first.
FRONT = """(
    SELECT least(now(), min(other.next_retrieval_attempt)) - interval '1 millisecond' FROM photos AS other
     WHERE other.backend_id = photos.backend_id AND other.retrieval_status = 'pending' AND other.purged_at IS NULL
)"""
RETRY = f"""
    UPDATE photos SET retrieval_status = 'pending', retrieval_attempts = 0, missing_since = NULL,
           next_retrieval_attempt = {FRONT}
     WHERE id = $1 AND retrieval_status IN ('pending', 'failed', 'gone')
       AND purged_at IS NULL AND backend_id IS NOT NULL
    RETURNING id
"""
MOVE_TO_FRONT = f"""
    UPDATE photos SET next_retrieval_attempt = {FRONT}
     WHERE id = $1 AND retrieval_status = 'pending' AND purged_at IS NULL AND next_retrieval_attempt <= now()
    RETURNING id
"""
HAD = "id = $1 AND local_storage_path = $2 AND sha256 = $3 AND purged_at IS NULL"
HAS_SOURCE = "backend_id IS NOT NULL AND invoke_id IS NOT NULL"
# A file that cannot be fetched again may still be put back by hand.
REOPEN = f"""
    UPDATE photos SET retrieval_status = CASE WHEN {HAS_SOURCE} THEN 'pending' ELSE 'failed' END,
           retrieval_attempts = 0, missing_since = NULL, file_size = NULL,
           retrieval_error = $4 || CASE WHEN {HAS_SOURCE} THEN '' ELSE $5 END,
           next_retrieval_attempt = CASE WHEN NOT ({HAS_SOURCE}) THEN NULL WHEN $6 THEN {FRONT} ELSE now() END
     WHERE {HAD} AND retrieval_status = 'completed'
    RETURNING retrieval_status
"""
NO_SOURCE = ", and there is no server to fetch it from again"
COMPLETE_AGAIN = f"""
    UPDATE photos SET retrieval_status = 'completed', file_size = $4, retrieval_error = NULL, retrieval_attempts = 0,
           missing_since = NULL, next_retrieval_attempt = NULL
     WHERE {HAD} AND retrieval_status IN ('pending', 'failed', 'gone')
    RETURNING id
"""


async def reopen(
    connection: Connection, photo_id: UUID, path: str, sha256: str, reason: str, *, next_in_line: bool
) -> Literal["pending", "failed"] | None:
    """completed → pending, or → failed where there is no server to fetch it from. None when it is no longer the photo
    that was looked at."""
    status: Literal["pending", "failed"] | None = await connection.fetchval(
        REOPEN, photo_id, path, sha256, reason, NO_SOURCE, next_in_line
    )
    return status


async def complete_again(connection: Connection, photo_id: UUID, path: str, sha256: str, file_size: int) -> bool:
    """pending, failed or gone → completed: the very file that was lost is in its place again. False when somebody
    fetches it just now, or it is home already."""
    return await connection.fetchval(COMPLETE_AGAIN, photo_id, path, sha256, file_size) is not None


async def retry(connection: Connection, photo_id: UUID) -> bool:
    """pending, failed or gone → pending, next in line, all attempts before it. False when there is nothing to retry."""
    return await connection.fetchval(RETRY, photo_id) is not None


async def move_to_front(connection: Connection, photo_id: UUID) -> bool:
    """A due photo becomes the next in line; one delayed after a failure keeps its delay. False when it is not due."""
    return await connection.fetchval(MOVE_TO_FRONT, photo_id) is not None


async def retry_many(connection: Connection, photo_ids: Sequence[UUID]) -> list[UUID]:
    """failed, gone, or pending after something went wrong → pending, due now, all attempts before them; in the caller's
    transaction. Those that were."""
    backends = [row["backend_id"] for row in await connection.fetch(BACKENDS_OF, photo_ids)]
    await connection.execute(HOLD_BACKENDS, backends)
    return [row["id"] for row in await connection.fetch(RETRY_MANY, photo_ids)]


async def retry_failed(database: Database, backend_id: UUID, *, untried_for: float | None = None) -> list[UUID]:
    """failed → pending, for one more attempt: their count stays. Takes all of this server's, or those that were not
    tried for so many seconds, and returns them."""
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
