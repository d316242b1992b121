"""One real PostgreSQL for each worker, with one migrated database that is empty whenever a test asks for it."""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from itertools import accumulate
from pathlib import Path
from uuid import uuid4

import asyncpg
import psutil
import pytest
import structlog
from argon2 import PasswordHasher
from argon2.profiles import CHEAPEST
from hypothesis import settings
from sqlalchemy import URL, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from service.access import password
from service.database import preconditions
from service.database.embedded.server import EmbeddedPostgres
from service.database.engine import Connection, Database
from service.database.migrate import upgrade
from service.database.models import Base
from service.database.url import DatabaseUrl
from service.startup import infrastructure

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

CONNECTIONS = 8
"""Of a Darkroom in tests."""
MIGRATED = "migrated_"
"""The names of databases begin so that are copies of the one migrated database."""

TESTS = Path(__file__).parent
SHARED_MEMORY = Path("/dev/shm")
SECONDS = {
    "service/test_pods.py": 150,
    "service/test_pods_killed.py": 120,
    "service/test_selection.py": 70,
    "browser/test_pod_card.py": 70,
    "service/test_hostile_server.py": 65,
    "browser/test_stillness.py": 50,
    "service/test_selection_killed.py": 50,
    "service/test_pod_attacks.py": 50,
    "service/photos/test_upload_files.py": 45,
    "browser/test_uploading.py": 45,
    "service/test_source_uploads.py": 45,
    "browser/test_keyboard.py": 40,
    "browser/test_reading_place.py": 40,
    "browser/test_albums.py": 40,
    "browser/test_family.py": 40,
    "browser/test_sessions.py": 40,
    "browser/test_making.py": 40,
    "service/test_photo_pass.py": 35,
    "browser/test_viewer_stage.py": 30,
    "browser/test_viewing.py": 30,
    "browser/test_marking.py": 30,
    "browser/test_phone.py": 30,
}
"""What the longest files take with five workers on two cores."""
OTHERS_SECONDS = {"browser": 16, "service": 12}
"""And what the others take about; those of neither folder about two."""

# How long an example takes says more of the machine than of what is tested.
settings.register_profile("darkroom", deadline=None)
settings.load_profile("darkroom")


def pytest_configure() -> None:
    """Files of tests are kept in memory where there is plenty of it: else many tests wait for fsync."""
    is_executable = SHARED_MEMORY.is_dir() and not os.statvfs(SHARED_MEMORY).f_flag & os.ST_NOEXEC
    if (
        "TMPDIR" not in os.environ
        and is_executable
        and shutil.disk_usage(SHARED_MEMORY).free > 4 * 2**30
        and psutil.virtual_memory().available > 8 * 2**30
    ):
        os.environ["TMPDIR"] = tempfile.tempdir = str(SHARED_MEMORY)


def pytest_xdist_auto_num_workers() -> int:
    """A test waits more than half of its time: for a socket, a process or a browser."""
    return 5 * (os.cpu_count() or 1) // 2


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that take longest begin first: one that began last would keep one worker busy after the others. Files
    with a browser, which compute, and the others, which wait for most of their time, take turns by what they take."""
    by_file: dict[str, list[pytest.Item]] = {}
    for item in items:
        by_file.setdefault(item.path.relative_to(TESTS).as_posix(), []).append(item)
    seconds = {name: SECONDS.get(name, OTHERS_SECONDS.get(name.split("/")[0], 2)) for name in by_file}
    begins: dict[str, float] = {}
    for is_browser in (True, False):
        files = [name for name in by_file if name.startswith("browser/") is is_browser]
        files.sort(key=seconds.__getitem__, reverse=True)
        ends = list(accumulate(seconds[name] for name in files))
        begins |= {name: (end - seconds[name]) / ends[-1] for name, end in zip(files, ends, strict=True)}
    items[:] = [item for name in sorted(begins, key=begins.__getitem__) for item in by_file[name]]


@pytest.fixture(scope="session", autouse=True)
def rare_collections() -> None:
    """What was imported is never garbage, and looking for garbage as often as Python does takes a fifth of the time."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


@pytest.fixture(scope="session", autouse=True)
def cheap_passwords() -> Iterator[None]:
    """argon2 as quick as it gets: in earnest each hash takes 64 MiB and a tenth of a second."""
    with pytest.MonkeyPatch.context() as patch:
        cheapest = {"time_cost": CHEAPEST.time_cost, "memory_cost": CHEAPEST.memory_cost, "parallelism": 1}
        patch.setattr(password, "PasswordHasher", partial(PasswordHasher, **cheapest))
        yield


@pytest.fixture(scope="session", autouse=True)
def few_connections() -> Iterator[None]:
    """A Darkroom opens about as many connections as it has tasks at its start, and each plans its queries anew."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(infrastructure, "Database", partial(Database, size=CONNECTIONS))
        yield


@pytest.fixture(scope="session", autouse=True)
def known_databases() -> Iterator[None]:
    """A start neither checks nor migrates the copies of the migrated database: six connections, for nothing. What those
    do is tested with other databases."""

    async def check(url: DatabaseUrl) -> None:
        if not (url.url.database or "").startswith(MIGRATED):
            await preconditions.check(url)

    async def upgrade_other(url: URL) -> None:
        if not (url.database or "").startswith(MIGRATED):
            await upgrade(url)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(infrastructure, "check", check)
        patch.setattr(infrastructure, "upgrade", upgrade_other)
        yield


@pytest.fixture
def unknown_databases(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of just that: each start checks and migrates, as it does outside of tests."""
    monkeypatch.setattr(infrastructure, "check", preconditions.check)
    monkeypatch.setattr(infrastructure, "upgrade", upgrade)


@asynccontextmanager
async def fresh_database(server: AsyncEngine, template: str = "template1") -> AsyncIterator[str]:
    """Its name. It is dropped at the end, with all connections to it."""
    name = f"{'test_' if template == 'template1' else MIGRATED}{uuid4().hex}"
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
        await upgrade(address(server, name))
        yield name


@pytest.fixture(scope="session")
async def worker_database(server: AsyncEngine, template: str) -> AsyncIterator[str]:
    """The name of the database whose rows are deleted before each test that uses it."""
    async with fresh_database(server, template) as name:
        yield name


@pytest.fixture(scope="session")
async def emptying(server: AsyncEngine, worker_database: str) -> AsyncIterator[AsyncEngine]:
    """The connection that deletes the rows. It is kept: a new one plans each deletion anew, at five times the cost."""
    engine = create_async_engine(address(server, worker_database), pool_size=1, max_overflow=0)
    yield engine
    await engine.dispose()


@pytest.fixture
async def database_url(server: AsyncEngine, template: str, worker_database: str, emptying: AsyncEngine) -> str:
    """The SQLAlchemy URL of a migrated database without any row."""
    if not await emptied(emptying):
        async with server.connect() as connection:
            await connection.execute(text(f"DROP DATABASE {worker_database} WITH (FORCE)"))
            await connection.execute(text(f"CREATE DATABASE {worker_database} TEMPLATE {template}"))
    return address(server, worker_database)


async def emptied(engine: AsyncEngine) -> bool:
    """Whether that was possible: the test before may have altered the schema, or closed the database."""
    for _ in range(2):  # the test before may have ended the kept connection
        try:
            async with engine.begin() as connection:
                await connection.execute(text(DISCONNECT))
                await connection.exec_driver_sql(DELETE_ROWS)
        except (DBAPIError, asyncpg.PostgresError, OSError):
            await engine.dispose()
        else:
            return True
    return False


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
    database = Database(database_url)
    yield database
    await database.close()


@pytest.fixture
async def connection(database: Database) -> AsyncIterator[Connection]:
    async with database.connection() as connection:
        yield connection
