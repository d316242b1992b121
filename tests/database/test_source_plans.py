"""What the sources of steps are asked for is found at a cost that does not grow with the steps there have been."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from service.database.engine import Connection, Database
from service.library import trash
from service.steps import batches
from service.studio import queries
from service.studio import source_rows as rows
from tests.fakes.rows import add_backend, add_batch, add_photo, add_session, add_step

MOST_PAGES = 100
STEPS = """
    INSERT INTO generation_steps (id, session_id, prompt, model_key, model_hash, position, source_photo_id, status)
    SELECT ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, $1, 'a', 'k', 'h', n,
           CASE WHEN n % 2 = 0 THEN $2::uuid END, 'completed'
      FROM generate_series(1, 20000) n
"""
BATCHES = """
    INSERT INTO step_batches (batch_id, step_id, backend_id, wanted, seeds, state)
    SELECT id::text, id, $1, 1, '{1}', 'enqueued' FROM generation_steps
"""


class Filled:
    """Ids of what the table has among 20,000 steps that have ended."""

    backend: UUID
    photo: UUID
    purged: UUID
    step: UUID
    batch: str


@pytest.fixture(scope="module")
async def filled(module_database_url: str) -> Filled:
    database, found = Database(module_database_url), Filled()
    async with database.connection() as connection:
        found.backend = await add_backend(connection)
        session = await add_session(connection)
        found.photo, popular = await add_photo(connection), await add_photo(connection)
        found.purged = await add_photo(connection, invoke_id=None)
        await connection.execute(STEPS, session, popular)
        await connection.execute(BATCHES, found.backend)
        found.step = await add_step(connection, session, source_photo_id=found.photo)
        found.batch = await add_batch(connection, found.step, found.backend, state="waiting")
        gone = await add_step(connection, session, source_photo_id=found.purged)
        await add_batch(connection, gone, found.backend, state="waiting")
        await connection.execute("UPDATE photos SET deleted_at = now(), purged_at = now() WHERE id = $1", found.purged)
        await connection.execute("VACUUM ANALYZE generation_steps, step_batches")
    await database.close()
    return found


@pytest.fixture
async def connection(module_database_url: str, filled: Filled) -> AsyncIterator[Connection]:
    database = Database(module_database_url)
    async with database.connection() as connection:
        yield connection
    await database.close()


async def test_no_question_reads_more_than_a_few_pages(connection: Connection, filled: Filled) -> None:
    questions = (
        (rows.AWAITED, [filled.backend, 100]),
        (rows.BATCHES, [filled.backend, filled.photo]),
        (rows.SOURCE, [filled.backend, filled.photo]),
        (rows.PURGED, []),
        (batches.OPEN, [filled.backend]),
        (queries.STEPS, [[filled.step]]),
        (trash.DELETE, [[filled.purged]]),
    )
    for query, arguments in questions:
        async with connection.transaction():
            [plan] = await connection.fetchval("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + query, *arguments)
        pages = plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"]
        assert pages <= MOST_PAGES, (query, plan)


async def test_what_waits_is_found_and_a_purged_source_is_told(connection: Connection, filled: Filled) -> None:
    assert await rows.awaited(connection, filled.backend) == [filled.photo, filled.purged]
    assert await rows.waiting_batches(connection, filled.backend, filled.photo) == [
        rows.Waiting(filled.batch, filled.step)
    ]
    assert len(await rows.waiting_for_purged(connection)) == 1


async def test_a_purged_photo_keeps_its_row_while_a_step_names_it(connection: Connection, filled: Filled) -> None:
    await connection.execute(trash.DELETE, [filled.purged])
    assert await connection.fetchval("SELECT count(*) FROM photos WHERE id = $1", filled.purged) == 1
