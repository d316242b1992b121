"""The kept counts of photos equal counted ones after any change of photos, also of several at the same time."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from service.backends import ledger
from service.database.engine import Connection, Database
from service.database.photo_counts import ADD_TOGETHER, FROM_PHOTOS, PHOTO_COUNTS, PhotoCounts
from service.library.filters import PhotoFilters
from service.library.queries import Page, list_photos
from tests.fakes.rows import add_backend, add_photo

COUNTED = FROM_PHOTOS.format(condition="true")
KEPT = f"""
    SELECT backend_id, retrieval_status, is_trashed, sum(n)::bigint AS n FROM ({PHOTO_COUNTS}) counts
     GROUP BY backend_id, retrieval_status, is_trashed HAVING sum(n) <> 0
"""
SOME = "SELECT id FROM photos ORDER BY id OFFSET {skipped} LIMIT {taken} FOR UPDATE"
STATUS = "UPDATE photos SET retrieval_status = '{status}', retrieval_claim = {claim} WHERE id IN ({some})"
CHANGES = (
    "UPDATE photos SET deleted_at = now() WHERE id IN ({some})",
    "UPDATE photos SET deleted_at = NULL WHERE purged_at IS NULL AND id IN ({some})",
    "UPDATE photos SET deleted_at = now(), purged_at = now() WHERE id IN ({some})",
    "UPDATE photos SET backend_id = NULL WHERE id IN ({some})",
    "UPDATE photos SET favorite = NOT favorite WHERE id IN ({some})",
    "DELETE FROM photos WHERE id IN ({some})",
    STATUS.replace("{status}", "completed").replace("{claim}", "NULL"),
    STATUS.replace("{status}", "failed").replace("{claim}", "NULL"),
    STATUS.replace("{status}", "gone").replace("{claim}", "NULL"),
    STATUS.replace("{status}", "retrieving").replace("{claim}", "gen_random_uuid()"),
)


def by_key(rows: list[Any]) -> dict[tuple[Any, ...], int]:
    return {(row["backend_id"], row["retrieval_status"], row["is_trashed"]): row["n"] for row in rows}


async def assert_equal(connection: Connection) -> dict[tuple[Any, ...], int]:
    """In one snapshot, as others go on writing."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        kept, counted = by_key(await connection.fetch(KEPT)), by_key(await connection.fetch(COUNTED))
    assert kept == counted
    return kept


async def are_kept(connection: Connection) -> bool:
    """Whether reading them reads no photo."""
    plan = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN (ANALYZE, COSTS off) {PHOTO_COUNTS}"))
    return all("never executed" in line for line in plan.splitlines() if " on photos" in line)


async def add_photos(connection: Connection, backend_ids: list[UUID | None], count: int) -> None:
    for number in range(count):
        backend_id = backend_ids[number % len(backend_ids)]
        await add_photo(connection, backend_id=backend_id, source="uploaded" if backend_id is None else "mirrored")


async def change_at_random(database: Database, rng: random.Random, backends: list[UUID | None]) -> None:
    """One transaction of a few changes; a third of them are taken back."""
    with suppress(asyncpg.DeadlockDetectedError):
        async with database.connection() as connection:
            transaction = connection.transaction()
            await transaction.start()
            for _ in range(rng.randint(1, 4)):
                if rng.random() < 0.3:
                    await add_photos(connection, rng.sample(backends, 2), rng.randint(1, 6))
                some = SOME.format(skipped=rng.randint(0, 20), taken=rng.randint(1, 30))
                await connection.execute(rng.choice(CHANGES).format(some=some))
            await (transaction.rollback() if rng.random() < 0.3 else transaction.commit())


@pytest.mark.parametrize("seed", range(3))
async def test_kept_counts_equal_counted_ones_after_any_changes(database: Database, seed: int) -> None:
    """Four writers at once, rows added together in between, and counts that begin in the midst of it."""
    rng = random.Random(seed)
    async with database.connection() as connection:
        backends: list[UUID | None] = [await add_backend(connection), await add_backend(connection), None]
        await add_photos(connection, backends, 30)
        await connection.execute("DELETE FROM photo_counts")  # as after an upgrade: photos that no trigger has counted
    counts = PhotoCounts(database)

    async def write(own: random.Random) -> None:
        for _ in range(25):
            await change_at_random(database, own, backends)

    async def look() -> None:
        for number in range(20):
            async with database.connection() as connection:
                await assert_equal(connection)
            if number == 5:
                await counts.count()
            await counts.add_together(more_than=rng.randint(0, 5))

    await asyncio.gather(*(write(random.Random(rng.random())) for _ in range(4)), look(), counts.add_together(0))
    async with database.connection() as connection:
        assert await are_kept(connection)
        kept = await assert_equal(connection)
        await counts.add_together(more_than=0)
        assert await assert_equal(connection) == kept
        assert await connection.fetchval("SELECT count(*) FROM photo_counts") == len(kept)
        # A server that is removed, and a table that is emptied.
        await connection.execute("DELETE FROM backends WHERE id = $1", backends[0])
        assert backends[0] not in {key[0] for key in await assert_equal(connection)}
        await connection.execute("TRUNCATE photos CASCADE")
        assert await assert_equal(connection) == {}
        await add_photos(connection, [None], 2)
        assert await assert_equal(connection) == {(None, "completed", False): 2}


async def test_ledger_and_totals_are_the_same_counted_and_kept(database: Database) -> None:
    async with database.connection() as connection:
        backend = await add_backend(connection)
        await add_photos(connection, [backend, None], 9)
        now = datetime.now(UTC)
        await add_photo(connection, backend_id=backend, deleted_at=now)
        await add_photo(connection, backend_id=backend, deleted_at=now, purged_at=now)
        await add_photo(connection, home=False, backend_id=backend)

        async def read() -> tuple[Any, ...]:
            lists = [await list_photos(connection, PhotoFilters(trashed=trashed), Page()) for trashed in (False, True)]
            return await ledger.read(connection, {}), *((len(page.items), page.total) for page in lists)

        assert not await are_kept(connection)
        counted = await read()
        await PhotoCounts(database).count()
        assert await are_kept(connection)
        assert await read() == counted
        assert counted[1:] == ((10, 10), (1, 1))


async def test_a_writer_waits_for_no_other(database: Database) -> None:
    """Two transactions change the same counts, while the rows are added together."""
    async with database.connection() as one, database.connection() as other:
        backend = await add_backend(one)
        await PhotoCounts(database).count()
        for connection in (one, other):
            await connection.execute("SET lock_timeout = '1s'")
        async with one.transaction(), other.transaction():
            await add_photo(one, backend_id=backend)
            await add_photo(other, backend_id=backend)
            async with database.connection() as third:
                await third.execute(ADD_TOGETHER)
        assert await assert_equal(one) == {(backend, "completed", False): 2}


async def test_photos_are_counted_once_for_a_database(database: Database) -> None:
    async with database.connection() as connection:
        await add_photos(connection, [None], 3)
        await asyncio.gather(*(PhotoCounts(database).count() for _ in range(3)))
        assert await assert_equal(connection) == {(None, "completed", False): 3}


async def test_a_claim_that_is_taken_back_is_counted_back(database: Database) -> None:
    async with database.connection() as connection:
        backend = await add_backend(connection)
        photo = await add_photo(connection, home=False, backend_id=backend)
        await PhotoCounts(database).count()
        for status, claim in (("retrieving", uuid4()), ("pending", None)):
            await connection.execute(
                "UPDATE photos SET retrieval_status = $2, retrieval_claim = $3 WHERE id = $1", photo, status, claim
            )
            assert await assert_equal(connection) == {(backend, status, False): 1}
