"""What a server is asked for when it is to be recognised is found at a cost that does not grow with the library."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from service.backends import recognition
from service.database.engine import Connection, Database
from tests.fakes.rows import add_backend

MOST_PAGES = 200
"""Of the 1,500 or so that the table has."""
FILL = """
    INSERT INTO photos (id, filename, width, height, mime_type, created_at, source, invoke_id, backend_id,
           retrieval_status, next_retrieval_attempt, file_size, sha256, local_storage_path)
    SELECT ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 'a.png', 64, 64, 'image/png', now(),
           'mirrored', n::text, CASE WHEN n % 10000 = 77 THEN $2::uuid ELSE $1::uuid END, 'completed', NULL, 9, 'ab',
           n::text
      FROM generate_series(1, 20000) n
"""


@pytest.fixture(scope="module")
async def servers(module_database_url: str) -> list[UUID]:
    """One with nearly all photos, one with two, one with none."""
    database = Database(module_database_url)
    async with database.connection() as connection:
        servers = [await add_backend(connection) for _ in range(3)]
        await connection.execute(FILL, *servers[:2])
        await connection.execute("VACUUM ANALYZE photos")
    await database.close()
    return servers


@pytest.fixture
async def connection(module_database_url: str, servers: list[UUID]) -> AsyncIterator[Connection]:
    database = Database(module_database_url)
    async with database.connection() as connection:
        yield connection
    await database.close()


@pytest.mark.parametrize(
    ("query", "arguments"),
    [
        (recognition.IS_RECORDED, []),
        (recognition.WAITING, [10]),
        (recognition.ANY, [10]),
        (recognition.NEWEST, [recognition.NEAR]),
        (recognition.ALONG_THE_LIBRARY, [[UUID(int=0)], recognition.NEAR]),
        (recognition.KNOWS, [["5"], ["s"], ["b"]]),
    ],
    ids=["is recorded", "waiting", "any", "newest", "along", "knows"],
)
async def test_no_question_reads_more_than_a_few_pages(
    connection: Connection, servers: list[UUID], query: str, arguments: list[object]
) -> None:
    for server in servers:
        explained = "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + query
        [plan] = await connection.fetchval(explained, server, *arguments)
        pages = plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"]
        assert pages <= MOST_PAGES, plan


async def test_a_server_with_few_photos_among_many_of_others_is_asked_for_them(
    connection: Connection, servers: list[UUID]
) -> None:
    assert set((await recognition.sample(connection, servers[1])).image_names) == {"77", "10077"}
    assert (await recognition.sample(connection, servers[2])).image_names == ()
