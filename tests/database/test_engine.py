"""The pool: connections the server closed are replaced without being noticed, and without asking it first."""

from __future__ import annotations

import asyncio

import pytest

from service.database.engine import Connection, Database

OTHERS = "FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()"


@pytest.mark.parametrize("dialect", ["driver", "orm"])
async def test_connections_that_the_server_closed_are_replaced(database: Database, dialect: str) -> None:
    used: set[Connection] = set()

    async def use() -> None:
        if dialect == "driver":
            async with database.connection() as connection:
                used.add(connection)
                assert await connection.fetchval("SELECT 1") == 1
        else:
            async with database.session() as session:
                assert (await session.connection()).in_transaction()

    await asyncio.gather(*(use() for _ in range(4)))
    async with database.connection() as connection:
        await connection.execute(f"SELECT pg_terminate_backend(pid) {OTHERS}")
        async with asyncio.timeout(10):
            while await connection.fetchval(f"SELECT count(*) {OTHERS}") or not all(
                other.is_closed() for other in used - {connection}
            ):
                await asyncio.sleep(0.01)
        await asyncio.gather(*(use() for _ in range(8)))


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
