"""A database of one's own is looked at before anything is written to it, and refused with what makes a right one."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from service.database import preconditions
from service.database.engine import Database
from service.database.preconditions import check
from service.database.url import read
from service.errors import StartupError
from tests.conftest import address
from tests.fakes.darkroom import running, settings_for
from tests.fakes.pooler import transaction_pooler

pytestmark = pytest.mark.usefixtures("unknown_databases")

ROOT = Path(__file__).parents[2]
SECRET = "Sesame"
COMMAND = re.compile(r"(CREATE|GRANT|DO) .*;")


OTHERS = """
    SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
       AND backend_type = 'client backend'
"""


@pytest.fixture(scope="session")
def socket(server: AsyncEngine) -> Path:
    """The embedded server's, which asks nobody for a password."""
    folder = server.url.query.get("host")
    if not isinstance(folder, str) or not folder.startswith("/"):
        pytest.skip("roles without a password need the embedded server")
    return Path(folder) / f".s.PGSQL.{server.url.query.get('port', '5432')}"


class Servers:
    """Databases and roles of the worker's server that a test makes, as an administrator, and that end with it."""

    def __init__(self, server: AsyncEngine) -> None:
        self.server = server
        self.databases: list[str] = []
        self.roles: list[str] = []

    async def say(self, command: str, database: str | None = None) -> None:
        connection = await read(address(self.server, database or "postgres")).connect()
        await connection.execute(command)
        await connection.close()

    async def database(self, name: str, how: str = "") -> str:
        """Its URL."""
        self.databases.append(name)
        await self.say(f"CREATE DATABASE {name} {how}")
        return address(self.server, name)

    async def role(self, name: str) -> None:
        self.roles.append(name)
        await self.say(f"CREATE ROLE {name} LOGIN")

    def url(self, role: str, database: str) -> str:
        return make_url(address(self.server, database)).set(username=role).render_as_string(hide_password=False)

    async def end(self) -> None:
        for name in self.databases:
            await self.say(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        for name in self.roles:
            await self.say(f"DROP ROLE {name}")


@pytest.fixture
async def servers(server: AsyncEngine, socket: Path) -> AsyncIterator[Servers]:
    servers = Servers(server)
    yield servers
    await servers.end()


async def refused(url: str) -> str:
    with pytest.raises(StartupError) as error:
        await check(read(url))
    return str(error.value)


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII", "EUC_JP"])
async def test_a_database_of_another_encoding_is_refused_with_the_command_for_a_right_one(
    servers: Servers, tmp_path: Path, encoding: str
) -> None:
    url = await servers.database(
        "own_letters", f"ENCODING '{encoding}' LOCALE_PROVIDER libc LOCALE 'C' TEMPLATE template0"
    )
    with pytest.raises(StartupError) as error:
        async with running(settings_for(tmp_path, url)):
            pass
    assert f"its encoding is {encoding}" in str(error.value)
    command = COMMAND.search(str(error.value))
    assert command
    servers.databases.append("own_letters_utf8")
    await servers.say(command[0])
    async with running(settings_for(tmp_path, address(servers.server, "own_letters_utf8"))):
        pass


async def test_nothing_is_written_to_a_database_that_is_refused(servers: Servers, tmp_path: Path) -> None:
    url = await servers.database("own_letters", "ENCODING 'LATIN1' LOCALE_PROVIDER libc LOCALE 'C' TEMPLATE template0")
    with pytest.raises(StartupError):
        async with running(settings_for(tmp_path, url)):
            pass
    connection = await read(url).connect()
    assert await connection.fetch("SELECT 1 FROM pg_class WHERE relnamespace = 'public'::regnamespace") == []
    await connection.close()


async def test_a_role_that_may_not_create_tables_is_refused_with_the_grant(servers: Servers, tmp_path: Path) -> None:
    await servers.role("visitor")
    await servers.database("of_another")
    url = servers.url("visitor", "of_another")
    words = await refused(url)
    assert "visitor may not create tables" in words
    command = COMMAND.search(words)
    assert command
    await servers.say(command[0], "of_another")
    async with running(settings_for(tmp_path, url)):
        pass


async def test_tables_of_another_role_are_refused_with_what_hands_them_over(
    servers: Servers, template: str, tmp_path: Path
) -> None:
    """As after a dump that an administrator restored."""
    await servers.role('"Dark room"')
    await servers.database("restored", f"TEMPLATE {template}")
    await servers.say('GRANT CREATE ON SCHEMA public TO "Dark room"', "restored")
    url = servers.url("Dark room", "restored")
    words = await refused(url)
    assert "does not own the table" in words
    command = COMMAND.search(words)
    assert command
    await servers.say(command[0], "restored")
    async with running(settings_for(tmp_path, url)):
        pass


async def test_a_schema_that_does_not_exist_is_named(servers: Servers) -> None:
    await servers.role("elsewhere")
    await servers.database("own_schema")
    await servers.say("ALTER ROLE elsewhere SET search_path = elsewhere")
    url = servers.url("elsewhere", "own_schema")
    assert "CREATE SCHEMA AUTHORIZATION elsewhere;" in await refused(url)
    await servers.say("CREATE SCHEMA AUTHORIZATION elsewhere;", "own_schema")
    await check(read(url))


async def test_a_database_that_can_only_be_read_is_refused(servers: Servers) -> None:
    url = await servers.database("standing_by")
    await servers.say("ALTER DATABASE standing_by SET default_transaction_read_only = on")
    assert "can only be read" in await refused(url)


async def test_a_server_that_is_too_old_is_refused(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preconditions, "OLDEST_SERVER", 99)
    assert "needs 99 or newer" in await refused(database_url)


async def test_a_database_that_does_not_exist_is_refused_with_the_command_that_makes_it(
    servers: Servers, tmp_path: Path
) -> None:
    url = address(servers.server, "not_yet")
    with pytest.raises(StartupError, match="does not exist") as error:
        async with running(settings_for(tmp_path, url)):
            pass
    command = COMMAND.search(str(error.value))
    assert command
    servers.databases.append("not_yet")
    await servers.say(command[0])
    async with running(settings_for(tmp_path, url)):
        pass


@pytest.mark.parametrize("takes_oldest", [True, False])
async def test_transaction_pooling_is_recognised_and_refused(
    database_url: str, socket: Path, tmp_path: Path, takes_oldest: bool
) -> None:
    parts = make_url(database_url)
    async with transaction_pooler(socket, takes_oldest=takes_oldest) as port:
        url = f"postgresql://{parts.username}@127.0.0.1:{port}/{parts.database}"
        with pytest.raises(StartupError, match="transaction or statement pooling"):
            async with running(settings_for(tmp_path, url)):
                pass


async def test_what_a_url_asks_of_the_session_reaches_the_server(database_url: str) -> None:
    asked = "application_name=photos&options=-c%20work_mem%3D5MB&connect_timeout=20&channel_binding=prefer"
    database = Database(f"{database_url}&{asked}")
    try:
        async with database.connection() as connection:
            assert await connection.fetchval("SHOW application_name") == "photos"
            assert await connection.fetchval("SHOW work_mem") == "5MB"
            assert await connection.fetchval("SHOW jit") == "off"
    finally:
        await database.close()


async def test_a_role_with_too_few_connections_is_refused(servers: Servers, tmp_path: Path) -> None:
    await servers.role("narrow")
    await servers.database("own_narrow", "OWNER narrow")
    await servers.say("ALTER ROLE narrow CONNECTION LIMIT 2")
    with pytest.raises(StartupError, match="too many connections"):
        async with running(settings_for(tmp_path, servers.url("narrow", "own_narrow"))):
            pass


async def test_a_right_database_is_taken_and_no_connection_is_left(servers: Servers) -> None:
    url = await servers.database("own_right")
    await check(read(url))
    connection = await read(url).connect()
    async with asyncio.timeout(20):
        while await connection.fetchval(OTHERS):
            await asyncio.sleep(0.01)
    await connection.close()


@pytest.mark.parametrize("command", ["service serve", "alembic current"])
@pytest.mark.parametrize(
    "url",
    [
        f"postgres://me:open@{SECRET}@127.0.0.1:9/x",
        f"postgres://me:open/{SECRET}@127.0.0.1:9/x",
        f"postgres://me:{SECRET}@127.0.0.1:9/x?sslmode=disable",
    ],
)
async def test_no_password_is_in_what_a_failed_start_says(tmp_path: Path, command: str, url: str) -> None:
    environment = os.environ | {"DARKROOM_DATABASE_URL": url, "DARKROOM_DATA": str(tmp_path / "data")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *command.split(), env=environment, cwd=ROOT, stdout=PIPE, stderr=STDOUT
    )
    said, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode
    assert b"must be postgresql://" in said or b"[Errno 111]" in said or b"[Errno 61]" in said
    assert SECRET.encode() not in said
