"""Which backend DARKROOM_INVOKEAI_URL means (design §6): at every start, and when the URL has changed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import pytest

from service.backends import environment
from service.backends.environment import EnvironmentBackend
from service.database.engine import Connection, Database
from service.invokeai.client import Credentials, InvokeClient
from service.live.messages import BackendLedger
from tests.fakes import ScriptedInvokeAI
from tests.fakes.rows import add_backend, add_photo

NOBODY_THERE = "http://127.0.0.1:9"


@pytest.fixture
async def connection(database: Database) -> AsyncIterator[Connection]:
    async with database.connection() as connection:
        yield connection


@pytest.fixture
async def servers(tmp_path: Path) -> AsyncIterator[Callable[[str], Any]]:
    """Starts a server over its own folder; the same name is the same server at a new address."""
    started: list[ScriptedInvokeAI] = []

    async def start(name: str) -> ScriptedInvokeAI:
        server = ScriptedInvokeAI(tmp_path / name)
        await server.start()
        started.append(server)
        return server

    yield start
    for server in started:
        await server.stop()


class Start:
    """One start of Darkroom, as far as this backend is concerned."""

    def __init__(self, database: Database, http: aiohttp.ClientSession, ledgers: dict[UUID, BackendLedger]) -> None:
        self._database, self._http, self._ledgers = database, http, ledgers
        self.changes = 0

    def at(self, url: str, *, kind: str = "server", credentials: Credentials | None = None) -> EnvironmentBackend:
        client = InvokeClient(url, timeout=2, session=self._http)
        return EnvironmentBackend(
            self._database,
            client,
            kind=kind,
            credentials=credentials,
            ledger_of=self._ledger_of,
            changed=self._changed,
        )

    async def _ledger_of(self, backend_id: UUID) -> BackendLedger | None:
        return self._ledgers.get(backend_id, ledger())

    async def _changed(self) -> None:
        self.changes += 1


def ledger(*, waiting: int = 0, live: int = 0) -> BackendLedger:
    home = waiting == 0
    return BackendLedger(
        expected=waiting + live, made=waiting, retrieved=0, waiting=waiting, failed=0, gone=0, home=home
    )


@pytest.fixture
def ledgers() -> dict[UUID, BackendLedger]:
    return {}


@pytest.fixture
async def start(database: Database, ledgers: dict[UUID, BackendLedger]) -> AsyncIterator[Start]:
    async with aiohttp.ClientSession() as http:
        yield Start(database, http, ledgers)


async def backends(connection: Connection) -> list[tuple[str, bool]]:
    return [(row["url"], row["enabled"]) for row in await connection.fetch("SELECT * FROM backends ORDER BY id")]


async def photo_of(connection: Connection, server: ScriptedInvokeAI, **values: Any) -> None:
    image = server.add_canvas_save()
    backend_id = await connection.fetchval("SELECT id FROM backends WHERE url = $1", server.url)
    await add_photo(connection, invoke_id=image.image_name, backend_id=backend_id, **values)


async def until(met: Callable[[], Any]) -> None:
    async with asyncio.timeout(10):
        while not await met():
            await asyncio.sleep(0.02)


async def test_the_first_start_adds_it_and_the_next_finds_it(start: Start, connection: Connection) -> None:
    for _ in range(2):
        assert await start.at(NOBODY_THERE).decide()
    assert await backends(connection) == [(NOBODY_THERE, True)]


async def test_what_the_owner_disabled_stays_disabled(start: Start, connection: Connection) -> None:
    await start.at(NOBODY_THERE).decide()
    await connection.execute("UPDATE backends SET enabled = false, queue_id = 'other'")
    await start.at(NOBODY_THERE).decide()
    assert await backends(connection) == [(NOBODY_THERE, False)]


async def test_new_credentials_take_effect_and_none_forget_none(start: Start, connection: Connection) -> None:
    for credentials in (Credentials("a@b.c", "old"), Credentials("a@b.c", "new"), None):
        await start.at(NOBODY_THERE, credentials=credentials).decide()
    assert await connection.fetchval("SELECT credentials->>'password' FROM backends") == "new"


async def test_a_server_that_knows_its_last_images_has_moved(
    start: Start, connection: Connection, servers: Callable[[str], Any]
) -> None:
    before = await servers("one")
    await start.at(before.url).decide()
    await photo_of(connection, before)
    await before.stop()
    after = await servers("one")
    assert await start.at(after.url).decide()
    assert await backends(connection) == [(after.url, True)]


async def test_a_server_that_knows_none_of_them_is_another_and_the_old_one_stays_until_all_is_home(
    start: Start,
    connection: Connection,
    servers: Callable[[str], Any],
    ledgers: dict[UUID, BackendLedger],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(environment, "LOOK_AGAIN", 0.02)
    one, two = await servers("one"), await servers("two")
    await start.at(one.url).decide()
    await photo_of(connection, one, home=False)
    old = await connection.fetchval("SELECT id FROM backends")
    ledgers[old] = ledger(waiting=1)
    backend = start.at(two.url)
    assert await backend.decide()
    assert await backends(connection) == [(one.url, True), (two.url, True)]
    running = asyncio.create_task(backend.run())
    for not_yet in (ledger(waiting=1), ledger(live=1)):
        ledgers[old] = not_yet
        await asyncio.sleep(0.1)
        assert start.changes == 0
    ledgers[old] = ledger()

    async def disabled() -> bool:
        return await backends(connection) == [(one.url, False), (two.url, True)]

    await until(disabled)
    running.cancel()
    await asyncio.wait({running})
    assert start.changes == 1


async def test_going_back_to_an_earlier_server_takes_it_up_again(
    start: Start, connection: Connection, servers: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "LOOK_AGAIN", 0.02)
    one, two = await servers("one"), await servers("two")
    for server in (one, two, one):
        await start.at(server.url).decide()
    backend = start.at(one.url)
    await backend.decide()
    running = asyncio.create_task(backend.run())

    async def only_the_second_retired() -> bool:
        return await backends(connection) == [(one.url, True), (two.url, False)]

    await until(only_the_second_retired)
    running.cancel()
    await asyncio.wait({running})


async def test_a_changed_url_that_does_not_answer_is_decided_as_soon_as_it_does(
    start: Start, connection: Connection, servers: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "ASK_AGAIN", 0.02)
    one = await servers("one")
    await start.at(one.url).decide()
    await photo_of(connection, one)
    two = await servers("two")
    await two.refuse()
    backend = start.at(two.url)
    assert not await backend.decide()
    assert await backends(connection) == [(one.url, True)]
    running = asyncio.create_task(backend.run())
    await two.accept()

    async def decided() -> bool:
        return start.changes > 0

    await until(decided)
    running.cancel()
    await asyncio.wait({running})
    assert (two.url, True) in await backends(connection)


async def test_moving_to_where_another_backend_already_is_leaves_one_of_them(
    start: Start, connection: Connection, servers: Callable[[str], Any]
) -> None:
    """The owner has added the new address by hand before changing the variable."""
    before = await servers("one")
    await start.at(before.url).decide()
    await photo_of(connection, before, home=False)
    await photo_of(connection, before)
    await before.stop()
    after = await servers("one")
    there = await add_backend(connection, url=after.url, created_at=datetime.now(UTC))
    assert await start.at(after.url).decide()
    waiting = await connection.fetchval("SELECT backend_id FROM photos WHERE retrieval_status = 'pending'")
    assert waiting == there, "it is fetched from where the server is now"
    assert await start.at(after.url).decide()
    assert (after.url, True) in await backends(connection)


async def test_the_demo_is_one_backend_whatever_port_it_has(start: Start, connection: Connection) -> None:
    for port in (9, 10):
        await start.at(f"http://127.0.0.1:{port}", kind="demo").decide()
    assert await backends(connection) == [("http://127.0.0.1:10", True)]


async def test_a_server_in_place_of_the_demo_is_another_backend(
    start: Start, connection: Connection, servers: Callable[[str], Any]
) -> None:
    await start.at(NOBODY_THERE, kind="demo").decide()
    one = await servers("one")
    await start.at(one.url).decide()
    assert await backends(connection) == [(NOBODY_THERE, True), (one.url, True)]


async def test_it_goes_on_after_the_database_was_away(
    start: Start, connection: Connection, servers: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run again by the supervisor, it begins where it was."""
    monkeypatch.setattr(environment, "LOOK_AGAIN", 0.02)
    one, two = await servers("one"), await servers("two")
    for server in (one, two):
        await start.at(server.url).decide()
    backend = start.at(two.url)
    await backend.decide()
    await connection.execute("ALTER TABLE settings RENAME TO away")
    with pytest.raises(Exception, match="settings"):
        await backend.run()
    await connection.execute("ALTER TABLE away RENAME TO settings")
    running = asyncio.create_task(backend.run())

    async def retired() -> bool:
        return (one.url, False) in await backends(connection)

    await until(retired)
    running.cancel()
    await asyncio.wait({running})
