"""Photos whose file is no longer what the row says (rule 18), and those whose file is here again.

Each statement names the state it leaves, and the file that was looked at: one that was moved or replaced meanwhile is
another. The checksum stays, to tell the same bytes when they come again.
"""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from service.database.engine import Connection
from service.retrieval.queue import FRONT

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
