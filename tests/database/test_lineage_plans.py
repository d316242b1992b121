"""A lineage is read along indexes, and no further than its limit, however many photos there are or were made of one."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from service.database.engine import Connection, Database
from service.library import lineage, trash
from service.media.identity import new_id
from service.photos import photo_sources

MOST_ROWS = 1_500
"""That any part of a plan gives, for a page of 100."""
PHOTO = UUID(int=1)
# Thirty thousand photos. Of most nothing was made, of one of them ten thousand by either way.
FILL = """
    INSERT INTO photos (id, filename, width, height, mime_type, created_at, source, invoke_id, retrieval_status,
           next_retrieval_attempt, file_size, sha256, local_storage_path, source_image_id)
    SELECT lpad(to_hex(n), 32, '0')::uuid, n || '.png', 64, 64, 'image/png', now(), 'mirrored', n || '.png',
           'completed', NULL, 9, 'ab', n::text,
           CASE WHEN n BETWEEN 2 AND 10001 THEN $1::uuid WHEN n > 29000 THEN lpad(to_hex(n - 1), 32, '0')::uuid END
      FROM generate_series(1, 30000) n
"""
FILL_SOURCES = """
    INSERT INTO photo_sources (photo_id, image_name, role, source_photo_id)
    SELECT lpad(to_hex(n), 32, '0')::uuid, CASE WHEN n <= 20001 THEN '1.png' ELSE 'never' || n || '.png' END, role,
           CASE WHEN n <= 20001 THEN $1::uuid END
      FROM generate_series(10002, 29000) n, unnest(ARRAY['control', 'mask']) AS role
"""


@pytest.fixture(scope="module")
async def filled_url(module_database_url: str) -> str:
    database = Database(module_database_url)
    async with database.connection() as connection:
        await connection.execute(FILL, PHOTO)
        await connection.execute(FILL_SOURCES, PHOTO)
        await connection.execute("VACUUM ANALYZE photos")
        await connection.execute("VACUUM ANALYZE photo_sources")
    await database.close()
    return module_database_url


@pytest.fixture
async def connection(filled_url: str) -> AsyncIterator[Connection]:
    database = Database(filled_url)
    async with database.connection() as connection:
        yield connection
        await connection.execute("RESET plan_cache_mode")
    await database.close()


async def walked(connection: Connection, statement: str, *values: Any) -> str:
    """How it was run, inside a transaction that is undone. No table was read from its beginning, nor many rows."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        lines = [row[0] for row in await connection.fetch(f"EXPLAIN (ANALYZE, TIMING off) {statement}", *values)]
    finally:
        await transaction.rollback()
    plan = "\n".join(lines)
    assert "Seq Scan" not in plan, plan
    counts = re.findall(r"\(actual rows=([\d.]+) loops=(\d+)\)", plan)
    assert counts, plan
    for rows, loops in counts:
        assert float(rows) * int(loops) <= MOST_ROWS, plan
    for removed in re.findall(r"Rows Removed by \w+: (\d+)", plan):
        assert int(removed) <= MOST_ROWS, plan
    return plan


def photos(numbers: range) -> list[UUID]:
    return [UUID(int=n) for n in numbers]


async def test_children_are_read_along_their_indexes_to_the_limit(connection: Connection) -> None:
    await connection.execute(lineage.SETTINGS.replace("LOCAL ", ""))
    plan = await walked(connection, lineage.CHILDREN, [PHOTO], [PHOTO], 100)
    assert "ix_photos_made_from" in plan
    assert "ix_photo_sources_made_from" in plan
    await walked(connection, lineage.CHILDREN, photos(range(2, 102)), [PHOTO, *photos(range(2, 102))], 200)
    await walked(connection, lineage.CHILDREN, photos(range(29000, 29100)), photos(range(29000, 29100)), 200)


async def test_parents_are_read_by_their_keys(connection: Connection) -> None:
    await connection.execute(lineage.SETTINGS.replace("LOCAL ", ""))
    for part in (range(2, 102), range(10_100, 10_200), range(29_100, 29_200)):
        await walked(connection, lineage.PARENTS, photos(part), photos(part), 100)


async def test_sources_of_a_page_are_read_by_their_keys(connection: Connection) -> None:
    await connection.execute(lineage.SETTINGS.replace("LOCAL ", ""))
    for part in (range(2, 102), range(10_100, 10_200), range(29_100, 29_200)):
        await walked(connection, lineage.SOURCES, photos(part))
        await walked(connection, lineage.PURGED, photos(part))


async def test_linking_reads_only_what_has_the_name(connection: Connection) -> None:
    names = [f"never{n}.png" for n in range(25_000, 25_100)]
    for _ in range(8):  # a plan may be kept
        await walked(connection, photo_sources.LINK, names, [PHOTO] * 100, 5_000)
        await walked(connection, photo_sources.LOCK, [PHOTO], names)
        await walked(connection, photo_sources.UPLOADS, PHOTO, names)
        await walked(connection, photo_sources.UNLINKED, new_id(), 500)
        await walked(connection, trash.FORGET_SOURCES, photos(range(25_000, 25_100)))
