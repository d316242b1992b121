"""The pool: connections the server closed are replaced without being noticed, and without asking it first."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from service.database.engine import Database

OTHERS = "FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()"


async def test_connections_that_the_server_closed_are_replaced(database: Database) -> None:
    pids: set[int] = set()

    async def use() -> None:
        async with database.connection() as connection:
            pids.add(connection.get_server_pid())
            assert await connection.fetchval("SELECT 1") == 1

    await asyncio.gather(*(use() for _ in range(4)))
    assert len(pids) == 4
    async with database.connection() as connection:
        await connection.execute(f"SELECT pg_terminate_backend(pid) {OTHERS}")
        async with asyncio.timeout(10):
            while await connection.fetchval(f"SELECT count(*) {OTHERS}"):
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)  # the driver hears of it
        await asyncio.gather(*(use() for _ in range(8)))
    assert len(pids) > 4


async def test_a_connection_is_used_without_a_word_before(database: Database) -> None:
    async with database.connection() as connection:
        said: list[str] = []
        connection.add_query_logger(lambda query: said.append(query.query))
        await connection.fetchval("SELECT 1")
        backend = connection.get_server_pid()
    async with database.connection() as connection:
        assert connection.get_server_pid() == backend
        await connection.fetchval("SELECT 2")
    assert said == ["SELECT 1", "SELECT 2"]


async def test_what_an_array_consists_of_is_asked_once_and_not_on_each_connection(database: Database) -> None:
    asked = "SELECT $1::uuid[] AS ids, $2::int8[] AS numbers, $3::uuid AS id"
    values = ([UUID(int=1)], [2**40], UUID(int=2))
    async with database.connection() as first, database.connection() as second:
        assert tuple(await first.fetchrow(asked, *values)) == values
        said: list[str] = []
        second.add_query_logger(lambda query: said.append(query.query))
        assert tuple(await second.fetchrow(asked, *values)) == values
    assert said == [asked]


async def test_a_type_of_ones_own_is_asked_for_in_each_database(database: Database, empty_database_url: str) -> None:
    """The same number may be another type there."""
    other = Database(empty_database_url)
    try:
        for one, definition in ((database, "AS ENUM ('a', 'b')"), (other, "AS (x int, y text)")):
            async with one.transaction() as connection:
                await connection.execute(f"CREATE TYPE pair {definition}")
                literal = "'{a,b}'" if one is database else "ARRAY[(1, 'a')::pair]"
                (pairs,) = await connection.fetchrow(f"SELECT {literal}::pair[]")
                assert list(map(str, pairs)) == (["a", "b"] if one is database else ["<Record x=1 y='a'>"])
                await connection.execute("DROP TYPE pair")
    finally:
        await other.close()


@pytest.mark.parametrize("ticks", range(12))
async def test_what_is_canceled_at_any_moment_leaves_no_transaction_open_for_the_next(
    database_url: str, ticks: int
) -> None:
    """A BEGIN on its way, for one: the driver hears of the cancel, and nobody of the transaction."""
    database = Database(database_url, size=1)

    async def write() -> None:
        async with database.transaction() as connection:
            await connection.execute("SELECT pg_sleep(0.01)")

    try:
        async with database.connection() as connection:
            await connection.execute("SELECT 1")
        for _ in range(5):
            task = asyncio.create_task(write())
            for _ in range(ticks):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait({task})
            async with database.connection() as connection:
                first, second = [await connection.fetchval("SELECT pg_current_xact_id()::text") for _ in range(2)]
                assert first != second, "each statement is a transaction of its own"
    finally:
        await database.close()


@pytest.mark.parametrize("ends", ["canceled", "timed out"])
async def test_a_statement_that_is_given_up_ends_at_the_server_too(
    database: Database, database_url: str, ends: str
) -> None:
    running = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)' AND state = 'active'"
    giving_up = Database(database_url, size=1)

    async def sleep() -> None:
        async with giving_up.connection() as connection:
            await connection.execute("SELECT pg_sleep(60)", timeout=3 if ends == "timed out" else None)

    try:
        task = asyncio.create_task(sleep())
        async with database.connection() as connection, asyncio.timeout(30):
            while not await connection.fetchval(running):
                await asyncio.sleep(0.01)
            if ends == "canceled":
                task.cancel()
            await asyncio.wait({task})
            while await connection.fetchval(running):
                await asyncio.sleep(0.01)
        async with giving_up.connection() as connection:
            assert await connection.fetchval("SELECT 1") == 1
    finally:
        await giving_up.close()


async def test_a_transaction_left_by_hand_ends_with_its_use(database_url: str) -> None:
    database = Database(database_url, size=1)
    try:
        async with database.connection() as connection:
            await connection.execute("BEGIN")
        async with database.connection() as connection:
            assert not connection.is_in_transaction()
    finally:
        await database.close()


async def test_an_error_in_the_callers_own_code_costs_no_connection(database_url: str) -> None:
    database = Database(database_url, size=1)
    pids = set()

    async def fail() -> None:
        async with database.transaction() as connection:
            pids.add(connection.get_server_pid())
            raise LookupError

    try:
        for _ in range(3):
            with pytest.raises(LookupError):
                await fail()
        assert len(pids) == 1
    finally:
        await database.close()
