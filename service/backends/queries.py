"""Rows of `backends`, and the resource that is made of a row and its connection."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

import asyncpg
import msgspec

from service.backends.address import host_of, normalised
from service.backends.connection import BackendRow
from service.backends.connection import Connection as BackendConnection
from service.backends.schemas import BackendCreate, BackendPatch
from service.database.engine import Connection
from service.errors import Conflict, NotFound, ValidationError
from service.live.messages import Backend, BackendLedger, QueueCounts, Trouble
from service.media.identity import new_id

# Addresses are normalised (address.py): what stands before the path is the origin.
ORIGIN = "substring({} from '^[a-z]+://[^/]+')"
ROWS = f"""
    SELECT id, name, kind, url, queue_id, (logins->{ORIGIN.format("url")})::text AS credentials, enabled, mirror,
           version, created_at, last_seen_at
      FROM backends ORDER BY id
"""
# One change of an address at a time: of two that ask for the same one, the second finds the first.
LOCK_ADDRESSES = "SELECT pg_advisory_xact_lock(hashtextextended('addresses', 0))"
TAKEN = "SELECT FROM backends WHERE url = $1 AND queue_id = $2"
INSERT = f"""
    INSERT INTO backends (id, name, url, queue_id, logins, enabled, mirror)
    VALUES ($1, $2, $3, $4,
            CASE WHEN $5::jsonb IS NULL THEN '{{}}' ELSE jsonb_build_object({ORIGIN.format("$3")}, $5::jsonb) END,
            $6, $7)
"""
CHANGES_ADDRESS = """
    SELECT coalesce($2, url) AS url, coalesce($3, queue_id) AS queue_id FROM backends
     WHERE id = $1 AND (coalesce($2, url), coalesce($3, queue_id)) <> (url, queue_id)
"""
# A change of address forgets what was known of the server that was there, and what the owner said of it; taking
# everybody's images instead of ours begins where the backend did (rule 6).
PATCH = f"""
    UPDATE backends SET
           name = coalesce($2, name), url = coalesce($3, url), queue_id = coalesce($4, queue_id),
           logins = CASE WHEN NOT $5 THEN logins WHEN $6::jsonb IS NULL THEN '{{}}'
                         ELSE logins || jsonb_build_object({ORIGIN.format("coalesce($3, url)")}, $6::jsonb) END,
           enabled = coalesce($7, enabled), mirror = coalesce($8, mirror),
           gallery_watermark = CASE WHEN mirror <> 'own' OR coalesce($8, mirror) = 'own' THEN gallery_watermark END,
           version = CASE WHEN coalesce($3, url) = url THEN version END,
           identity_since = CASE WHEN coalesce($3, url) = url THEN identity_since END
     WHERE id = $1 RETURNING id
"""

# Read from the index of what is not home. What the owner threw away was seen; a moment in the future is of a clock that
# was set back since.
UNSEEN_GONE = """
    SELECT p.backend_id, count(*) AS n, coalesce(min(p.last_retrieval_attempt), now()) AS since
      FROM photos p JOIN backends b ON b.id = p.backend_id
     WHERE p.retrieval_status = 'gone' AND p.purged_at IS NULL AND p.deleted_at IS NULL
       AND (b.gone_seen_at IS NULL OR b.gone_seen_at > now() OR p.last_retrieval_attempt > b.gone_seen_at)
     GROUP BY p.backend_id
"""
SEEN = "UPDATE backends SET gone_seen_at = now() WHERE id = $1 RETURNING id"

NONE_IN_QUEUE = QueueCounts(pending=0, in_progress=0, ours=0)


async def backend_rows(connection: Connection) -> list[BackendRow]:
    """All of them, oldest first."""
    return [_row(record) for record in await connection.fetch(ROWS)]


async def create(connection: Connection, wanted: BackendCreate) -> UUID:
    """Raises ValidationError for its URL, Conflict when that queue of that server is known already."""
    url = address(wanted.url)
    identity = new_id()
    name = wanted.name or host_of(url)
    credentials = _json(wanted.credentials)
    values = (identity, name, url, wanted.queue_id, credentials, wanted.enabled, wanted.mirror)
    async with connection.transaction():
        await connection.execute(LOCK_ADDRESSES)
        if await connection.fetchrow(TAKEN, url, wanted.queue_id) is not None:
            raise _known_already()
        await connection.execute(INSERT, *values)
    return identity


async def patch(connection: Connection, backend_id: UUID, wanted: BackendPatch) -> None:
    """Raises as `create` does, and NotFound. A login that is given belongs to the origin of the address it is given
    with; each former one stays with its own origin."""
    url = given(wanted.url)
    url = address(url) if url is not None else None
    queue_id = given(wanted.queue_id)
    try:
        async with connection.transaction():
            await connection.execute(LOCK_ADDRESSES)
            new = await connection.fetchrow(CHANGES_ADDRESS, backend_id, url, queue_id)
            if new is not None and await connection.fetchrow(TAKEN, new["url"], new["queue_id"]) is not None:
                raise _known_already()
            found = await connection.fetchrow(
                PATCH,
                backend_id,
                given(wanted.name),
                url,
                queue_id,
                wanted.credentials is not msgspec.UNSET,
                _json(given(wanted.credentials)),
                given(wanted.enabled),
                given(wanted.mirror),
            )
    except asyncpg.UniqueViolationError as error:
        raise Conflict("another server that is switched on has this address") from error
    if found is None:
        raise NotFound("there is no such server")


async def unseen_gone(connection: Connection) -> dict[UUID, Trouble]:
    """By backend, what its owner has not seen yet: images that were deleted there before they came home (rule 19)."""
    troubles = {}
    for row in await connection.fetch(UNSEEN_GONE):
        one = "1 image was deleted in InvokeAI before it came home."
        words = one if row["n"] == 1 else f"{row['n']} images were deleted in InvokeAI before they came home."
        troubles[row["backend_id"]] = Trouble(code="images_gone", since=row["since"], words=words)
    return troubles


async def mark_gone_seen(connection: Connection, backend_id: UUID) -> None:
    """Raises NotFound."""
    if await connection.fetchrow(SEEN, backend_id) is None:
        raise NotFound("there is no such server")


def resource(
    row: BackendRow, connection: BackendConnection | None, ledger: BackendLedger, gone: Trouble | None
) -> Backend:
    """Without a connection yet, it is as good as connecting. `gone` is shown among its troubles."""
    troubles = [*(connection.troubles.present if connection else []), *([gone] if gone else [])]
    return Backend(
        id=row.id,
        name=row.name,
        kind=cast(Any, row.kind),
        url=row.url,
        queue_id=row.queue_id,
        enabled=row.enabled,
        mirror=cast(Any, row.mirror),
        state=(connection.state if connection else "connecting") if row.enabled else "disabled",
        version=row.version,
        device=connection.device if connection else None,
        queue=connection.queue if connection else NONE_IN_QUEUE,
        ledger=ledger,
        created_at=row.created_at,
        last_seen_at=row.last_seen_at,
        last_event_at=connection.last_event_at if connection else None,
        next_attempt_at=connection.next_attempt_at if connection else None,
        videos=connection.videos if connection else 0,
        older_images=connection.older_images if connection else 0,
        error=connection.error if connection else None,
        troubles=sorted(troubles, key=lambda trouble: trouble.since),
    )


def given(value: Any) -> Any:
    """None for what a patch leaves out."""
    return None if value is msgspec.UNSET else value


def address(url: str) -> str:
    """As it is written down. Raises ValidationError."""
    try:
        return normalised(url)
    except ValueError as error:
        raise ValidationError(f"url: {error}") from error


def _row(record: asyncpg.Record) -> BackendRow:
    values = dict(record)
    if values["credentials"] is not None:
        values["credentials"] = msgspec.json.decode(values["credentials"])
    return BackendRow(**values)


def _json(value: msgspec.Struct | None) -> str | None:
    return msgspec.json.encode(value).decode() if value is not None else None


def _known_already() -> Conflict:
    return Conflict("this server was added before: another has this address and queue")
