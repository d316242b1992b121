"""One real PostgreSQL for the whole run, and a fresh, migrated database for each test that asks for one."""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import NullPool, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from service.database.embedded import EmbeddedPostgres
from service.database.engine import Connection, Database, create_engine
from service.database.migrate import upgrade

# Tests lose nothing in a power cut.
UNSAFE_BUT_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@asynccontextmanager
async def fresh_database(server: AsyncEngine, template: str = "template1") -> AsyncIterator[str]:
    """Its name; dropped at the end, with whatever is still connected to it."""
    name = f"test_{uuid4().hex}"
    async with server.connect() as connection:
        await connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template}"))
    try:
        yield name
    finally:
        async with server.connect() as connection:
            await connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


def address(server: AsyncEngine, name: str) -> str:
    return server.url.set(database=name).render_as_string(hide_password=False)


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder for clusters that root's unprivileged stand-in can reach, unlike pytest's own 0700 ones."""
    with tempfile.TemporaryDirectory(prefix="darkroom-tests-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture(scope="session")
async def server_url() -> AsyncIterator[str]:
    """A database to create others from: `DARKROOM_TEST_DATABASE_URL`'s, else an embedded server's."""
    given = os.environ.get("DARKROOM_TEST_DATABASE_URL")
    if given:
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="darkroom-tests-") as folder:
        Path(folder).chmod(0o755)  # as root, the server is another user
        postgres = EmbeddedPostgres(Path(folder) / "postgres", UNSAFE_BUT_FAST)
        yield await postgres.start()
        await postgres.stop()


@pytest.fixture(scope="session")
async def server(server_url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(server_url, isolation_level="AUTOCOMMIT")
    yield engine
    await engine.dispose()


@pytest.fixture(scope="session")
async def template(server: AsyncEngine) -> AsyncIterator[str]:
    """The name of a database migrated once, to copy."""
    async with fresh_database(server) as name:
        await upgrade(create_async_engine(address(server, name), poolclass=NullPool))
        yield name


@pytest.fixture
async def database_url(server: AsyncEngine, template: str) -> AsyncIterator[str]:
    """The SQLAlchemy URL of a migrated database of the test's own."""
    async with fresh_database(server, template) as name:
        yield address(server, name)


@pytest.fixture(scope="module")
async def module_database_url(server: AsyncEngine, template: str) -> AsyncIterator[str]:
    """As `database_url`, shared by the tests of a module that change nothing."""
    async with fresh_database(server, template) as name:
        yield address(server, name)


@pytest.fixture
async def empty_database_url(server: AsyncEngine) -> AsyncIterator[str]:
    """The SQLAlchemy URL of a database without any table."""
    async with fresh_database(server) as name:
        yield address(server, name)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(create_engine(database_url))
    yield database
    await database.close()


@pytest.fixture
async def connection(database: Database) -> AsyncIterator[Connection]:
    async with database.connection() as connection:
        yield connection
