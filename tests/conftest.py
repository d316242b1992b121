"""One real PostgreSQL for each worker, with one migrated database that is empty whenever a test asks for it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
import structlog
from argon2 import PasswordHasher
from argon2.profiles import CHEAPEST
from sqlalchemy import NullPool, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from service.access import password
from service.database.embedded import EmbeddedPostgres
from service.database.engine import Connection, Database, create_engine
from service.database.migrate import upgrade
from service.database.models import Base

# Tests lose nothing in a power cut.
UNSAFE_BUT_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}

TABLES = [table.name for table in reversed(Base.metadata.sorted_tables)]
# What a killed process or a failed test left connected may hold locks.
DISCONNECT = """
    SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
     WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""
# Deleting few rows costs a tenth of truncating all tables, and that a tenth of copying a database.
DELETE_ROWS = f"""
    DO $$ BEGIN
      IF (SELECT sum(pg_relation_size(oid)) > 2000000 FROM pg_class WHERE relname = ANY('{{{",".join(TABLES)}}}')) THEN
        TRUNCATE {", ".join(TABLES)};
      ELSE
        {" ".join(f"DELETE FROM {table};" for table in TABLES)}
      END IF;
      PERFORM setval(oid::regclass, 1, false) FROM pg_class
        WHERE relkind = 'S' AND relnamespace = 'public'::regnamespace;
    END $$
"""


def pytest_xdist_auto_num_workers() -> int:
    """A test waits about half of its time: for a socket, a process or a browser."""
    return 2 * (os.cpu_count() or 1)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A file's tests run on one worker, so that its module fixtures are set up once."""
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(str(item.path)))


@pytest.fixture(scope="session", autouse=True)
def cheap_passwords() -> Iterator[None]:
    """argon2 as quick as it gets: in earnest each hash takes 64 MiB and a tenth of a second."""
    with pytest.MonkeyPatch.context() as patch:
        cheapest = {"time_cost": CHEAPEST.time_cost, "memory_cost": CHEAPEST.memory_cost, "parallelism": 1}
        patch.setattr(password, "PasswordHasher", partial(PasswordHasher, **cheapest))
        yield


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


@pytest.fixture(scope="session", autouse=True)
def plain_logs() -> None:
    """Tracebacks are written plainly: rich ones take a second each."""
    renderer = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[structlog.stdlib.add_log_level, renderer])


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


@pytest.fixture(scope="session")
async def worker_database(server: AsyncEngine, template: str) -> AsyncIterator[str]:
    """The name of the database whose rows are deleted before each test that uses it."""
    async with fresh_database(server, template) as name:
        yield name


@pytest.fixture
async def database_url(server: AsyncEngine, template: str, worker_database: str) -> str:
    """The SQLAlchemy URL of a migrated database without any row."""
    url = address(server, worker_database)
    if not await emptied(url):
        async with server.connect() as connection:
            await connection.execute(text(f"DROP DATABASE {worker_database} WITH (FORCE)"))
            await connection.execute(text(f"CREATE DATABASE {worker_database} TEMPLATE {template}"))
    return url


async def emptied(url: str) -> bool:
    """Whether that was possible: the test before may have altered the schema, or closed the database."""
    engine = create_async_engine(url, poolclass=NullPool)
    try:
        async with engine.begin() as connection:
            await connection.execute(text(DISCONNECT))
            await connection.exec_driver_sql(DELETE_ROWS)
    except (DBAPIError, asyncpg.PostgresError):
        return False
    return True


@pytest.fixture(scope="module")
async def module_database_url(server: AsyncEngine, template: str) -> AsyncIterator[str]:
    """Of a migrated database that the tests of a module share."""
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
