"""The photos table as the retrieval queue: who may fetch what, and every way a fetch can end (retrieval in the table).

A claim is a fresh uuid; every outcome is guarded by it, so a worker that has lost its lease changes nothing, with one
exception: a whole file in its place makes any photo home that nobody holds (`adopt`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal
from uuid import UUID

import msgspec

from service.database.engine import Connection
from service.database.params_summary import kept, summary
from service.media.sizes import Size
from service.photos import derive, photo_sources
from service.photos.derive import NOTHING, Derived
from service.runtime.backoff import backoff_seconds

LEASE_SECONDS = 60.0
FIRST_DELAY, GROWTH, LONGEST_DELAY = 2.0, 3.0, 600.0
LONGEST_WAIT = 2 * LONGEST_DELAY
"""Seconds. A later time was written before the database's clock was set back."""


class Claimed(msgspec.Struct, frozen=True):
    """A photo that is ours to fetch while the lease lasts; `attempts` are those that failed before."""

    id: UUID
    backend_id: UUID
    image_name: str
    path: str
    claim: UUID
    attempts: int
    wants_metadata: bool
    pixels: int
    sha256: str | None = None
    """SHA-256 of the file that was home before it was lost."""


class Home(msgspec.Struct, frozen=True):
    """What is known of a photo once its file has its name."""

    file_size: int
    sha256: str
    thumbnail_path: str | None
    thumbnail_size: Size | None
    thumbhash: str | None
    wants_large: bool
    """Whether a large rendition can be made of it."""


class Lease(msgspec.Struct, frozen=True):
    """A claim in the table, and the file it is about."""

    claim: UUID
    path: str


# Backend by backend along its own index: what waits for an unreachable one is never looked at.
CLAIM = """
    WITH due AS (
        SELECT photo.id FROM unnest($1::uuid[], $4::int[]) AS backend (id, at_most) CROSS JOIN LATERAL (
            SELECT id, next_retrieval_attempt FROM photos
             WHERE backend_id = backend.id AND retrieval_status = 'pending' AND purged_at IS NULL
               AND next_retrieval_attempt <= now()
             ORDER BY {order} LIMIT backend.at_most FOR UPDATE SKIP LOCKED
        ) AS photo ORDER BY {order} LIMIT $2
    )
    UPDATE photos SET retrieval_status = 'retrieving', retrieval_claim = gen_random_uuid(),
           retrieval_lease_until = now() + $3 * interval '1 second', last_retrieval_attempt = now()
      FROM due WHERE photos.id = due.id
    RETURNING photos.id, backend_id, invoke_id AS image_name, local_storage_path AS path, retrieval_claim AS claim,
              retrieval_attempts AS attempts, generation_params IS NULL AS wants_metadata,
              width::bigint * height AS pixels, sha256
"""
NEWEST_FIRST = CLAIM.format(order="id DESC")
LONGEST_DUE_FIRST = CLAIM.format(order="next_retrieval_attempt")

NEXT_DUE = """
    SELECT extract(epoch FROM min(photo.due) - now())::float8
      FROM unnest($1::uuid[]) AS backend (id) CROSS JOIN LATERAL (
        SELECT next_retrieval_attempt AS due FROM photos
         WHERE backend_id = backend.id AND retrieval_status = 'pending' AND purged_at IS NULL
         ORDER BY next_retrieval_attempt LIMIT 1
    ) AS photo
"""
# What changes several rows locks them by id, as purges do.
RENEW = """
    UPDATE photos SET retrieval_lease_until = now() + $2 * interval '1 second'
     WHERE id IN (SELECT id FROM photos WHERE retrieval_claim = ANY($1::uuid[]) AND retrieval_status = 'retrieving'
                   ORDER BY id FOR UPDATE)
    RETURNING retrieval_claim
"""
HELD = "WHERE id = $1 AND retrieval_claim = $2 AND retrieval_status = 'retrieving' AND purged_at IS NULL"
LET_GO = "retrieval_claim = NULL, retrieval_lease_until = NULL"

# Addresses of renditions that were made before, of other bytes perhaps, must change.
COMPLETE = f"""
    UPDATE photos SET retrieval_status = 'completed', {LET_GO}, next_retrieval_attempt = NULL, retrieval_error = NULL,
           missing_since = NULL, file_size = $3, sha256 = $4, local_thumbnail_path = $5, thumbhash = $6,
           generation_params = coalesce({kept()}, $7::jsonb),
           generation_prompt = coalesce(generation_prompt, $8),
           generation_negative_prompt = coalesce(generation_negative_prompt, $9),
           model_key = coalesce(model_key, $10), model_hash = coalesce(model_hash, $11),
           model_name = coalesce(model_name, $12), model_base = coalesce(model_base, $13),
           loras = coalesce(loras, $14::text[]), seed = coalesce(seed, $15::numeric), derived = {derive.VERSION},
           width = coalesce($16, width), height = coalesce($17, height),
           params_summary = coalesce(params_summary, {summary()}, $18::jsonb),
           thumbnail_width = $19, thumbnail_height = $20,
           large_bytes = CASE WHEN NOT $21 THEN 0 WHEN sha256 = $4 THEN large_bytes END,
           rendition_version = rendition_version + CASE WHEN sha256 IS NULL THEN 0 ELSE 1 END
"""
# The file is where the photo was claimed; it may have been home since, and moved (safe selection).
FINISH = f"{COMPLETE} {HELD} AND local_storage_path = $22 RETURNING id"
ADOPT = f"""{COMPLETE}
     WHERE id = $1 AND $2::uuid IS NOT NULL AND retrieval_status IN ('pending', 'failed', 'gone') AND purged_at IS NULL
       AND local_storage_path = $22
    RETURNING id
"""
FAIL = f"""
    UPDATE photos SET retrieval_status = CASE WHEN retrieval_attempts + 1 < $4 THEN 'pending' ELSE 'failed' END,
           retrieval_attempts = retrieval_attempts + 1, retrieval_error = $3, missing_since = NULL, {LET_GO},
           next_retrieval_attempt = CASE WHEN retrieval_attempts + 1 < $4 THEN now() + $5 * interval '1 second' END
     {HELD} RETURNING retrieval_status
"""
PROVED = "coalesce(missing_since <= now() - $5 * interval '1 second', false)"
# A moment in the future is of a clock that was set back since. `last_retrieval_attempt` tells when it became gone.
MISS = f"""
    UPDATE photos SET retrieval_status = CASE WHEN {PROVED} THEN 'gone' ELSE 'pending' END, {LET_GO},
           retrieval_error = CASE WHEN {PROVED} THEN $3 ELSE $4 END, last_retrieval_attempt = now(),
           missing_since = least(missing_since, now()),
           next_retrieval_attempt =
               CASE WHEN NOT {PROVED} THEN least(missing_since, now()) + $5 * interval '1 second' END
     {HELD} RETURNING retrieval_status
"""
RELEASE = f"""
    UPDATE photos SET retrieval_status = 'pending', {LET_GO}, retrieval_error = coalesce($3, retrieval_error),
           missing_since = CASE WHEN NOT $5 THEN missing_since END,
           next_retrieval_attempt = now() + $4 * interval '1 second'
     {HELD} RETURNING id
"""
MAKE_DUE = """
    UPDATE photos SET next_retrieval_attempt = now()
     WHERE id IN (SELECT id FROM photos WHERE backend_id = $1 AND retrieval_status = 'pending' AND purged_at IS NULL
                     AND next_retrieval_attempt > now() ORDER BY id FOR UPDATE)
"""
LEASES = """
    SELECT retrieval_claim AS claim, local_storage_path AS path FROM photos
     WHERE retrieval_status = 'retrieving' AND (NOT $1 OR retrieval_lease_until < now())
"""
TAKE_BACK = f"""
    UPDATE photos SET retrieval_status = 'pending', {LET_GO}, next_retrieval_attempt = now()
     WHERE retrieval_claim = $1 AND retrieval_status = 'retrieving' AND (NOT $2 OR retrieval_lease_until < now())
    RETURNING id
"""
CUT_WAITS = """
    UPDATE photos SET next_retrieval_attempt = now()
     WHERE id IN (SELECT id FROM photos WHERE retrieval_status = 'pending' AND purged_at IS NULL
                     AND next_retrieval_attempt > now() + $1 * interval '1 second' ORDER BY id FOR UPDATE)
"""
CUT_LEASES = """
    UPDATE photos SET retrieval_lease_until = now() + $1 * interval '1 second'
     WHERE id IN (SELECT id FROM photos WHERE retrieval_status = 'retrieving'
                     AND retrieval_lease_until > now() + 2 * $1 * interval '1 second' ORDER BY id FOR UPDATE)
"""
IS_WANTED = "SELECT purged_at IS NULL FROM photos WHERE id = $1"


async def claim(
    connection: Connection,
    backend_ids: Sequence[UUID],
    limit: int,
    *,
    of_each: Sequence[int] | None = None,
    newest_first: bool = True,
    lease_seconds: float = LEASE_SECONDS,
) -> list[Claimed]:
    """Claims at most `limit` due photos of these backends, and `of_each` of each; no other worker gets them."""
    statement = NEWEST_FIRST if newest_first else LONGEST_DUE_FIRST
    rows = await connection.fetch(statement, backend_ids, limit, lease_seconds, of_each or [limit] * len(backend_ids))
    return [Claimed(**row) for row in rows]


async def next_due(connection: Connection, backend_ids: Sequence[UUID]) -> float | None:
    """Seconds until the first of their waiting photos is due, negative when one is; None when none waits."""
    seconds: float | None = await connection.fetchval(NEXT_DUE, backend_ids)
    return seconds


async def renew(connection: Connection, claims: Sequence[UUID], lease_seconds: float = LEASE_SECONDS) -> set[UUID]:
    """The claims that still hold."""
    return {row["retrieval_claim"] for row in await connection.fetch(RENEW, claims, lease_seconds)}


async def finish(connection: Connection, claimed: Claimed, home: Home, derived: Derived | None) -> bool:
    """retrieving → completed; what the row knows of its making already stays. False when the claim no longer holds."""
    return await _complete(FINISH, connection, claimed, home, derived or NOTHING)


async def adopt(connection: Connection, claimed: Claimed, home: Home, derived: Derived | None) -> bool:
    """pending, failed or gone → completed: the whole file is in its place. That counts even if its server was removed
    or its lease was taken back. False when another worker holds the photo, or it is purged or home already."""
    return await _complete(ADOPT, connection, claimed, home, derived or NOTHING)


async def _complete(statement: str, connection: Connection, claimed: Claimed, home: Home, derived: Derived) -> bool:
    if not derived.sources:
        return await _write(statement, connection, claimed, home, derived)
    async with connection.transaction():
        photos = await photo_sources.lock(connection, claimed.id, derived.sources)
        completed = await _write(statement, connection, claimed, home, derived)
        if completed:
            await photo_sources.record(connection, claimed.id, derived.sources, photos)
    return completed


async def _write(statement: str, connection: Connection, claimed: Claimed, home: Home, derived: Derived) -> bool:
    completed = await connection.fetchval(
        statement,
        claimed.id,
        claimed.claim,
        home.file_size,
        home.sha256,
        home.thumbnail_path,
        home.thumbhash,
        *derive.columns(derived),
        *(home.thumbnail_size or (None, None)),
        home.wants_large,
        claimed.path,
    )
    return completed is not None


async def fail(
    connection: Connection, claimed: Claimed, error: str, max_attempts: int
) -> Literal["pending", "failed"] | None:
    """retrieving → pending with a growing delay, or → failed at the last attempt. None when the claim holds no more."""
    # One that failed for good is tried once a day, for years perhaps.
    delay = backoff_seconds(claimed.attempts, FIRST_DELAY, LONGEST_DELAY, growth=GROWTH, jitter=0.25)
    status: Literal["pending", "failed"] | None = await connection.fetchval(
        FAIL, claimed.id, claimed.claim, error, max_attempts, delay
    )
    return status


async def miss(
    connection: Connection, claimed: Claimed, *, gone: str, waiting: str, gap_seconds: float
) -> Literal["pending", "gone"] | None:
    """retrieving → gone when InvokeAI had no record of it that long ago already, else → pending until then. `gone` and
    `waiting` are the words for either. None when the claim no longer holds."""
    status: Literal["pending", "gone"] | None = await connection.fetchval(
        MISS, claimed.id, claimed.claim, gone, waiting, gap_seconds
    )
    return status


async def release(
    connection: Connection,
    claimed: Claimed,
    *,
    error: str | None = None,
    delay_seconds: float = 0,
    forget_missing: bool = False,
) -> bool:
    """retrieving → pending without an attempt counted; with `forget_missing`, that InvokeAI had no record of
    it proves nothing any more. False when the claim no longer holds."""
    released = await connection.fetchval(RELEASE, claimed.id, claimed.claim, error, delay_seconds, forget_missing)
    return released is not None


async def make_due(connection: Connection, backend_id: UUID) -> None:
    """Everything that waits for this backend is due now, without its delay."""
    await connection.execute(MAKE_DUE, backend_id)


async def leases(connection: Connection, *, expired_only: bool) -> list[Lease]:
    return [Lease(**row) for row in await connection.fetch(LEASES, expired_only)]


async def take_back(connection: Connection, claim: UUID, *, expired_only: bool) -> bool:
    """retrieving → pending, for any holder of the claim; costs no attempt. False when it holds no more, or holds
    again."""
    return await connection.fetchval(TAKE_BACK, claim, expired_only) is not None


async def cut_waits(connection: Connection) -> None:
    """After the database's clock was set back: no wait and no lease is longer than any can be."""
    await connection.execute(CUT_WAITS, LONGEST_WAIT)
    await connection.execute(CUT_LEASES, LEASE_SECONDS)


async def is_wanted(connection: Connection, photo_id: UUID) -> bool:
    """False for a purged photo, or one that is no more: its file is to be removed (trash)."""
    return bool(await connection.fetchval(IS_WANTED, photo_id))
