"""Which backend DARKROOM_INVOKEAI_URL means (docs/settings.md): at every start, and when the URL has changed."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import msgspec

from service.backends.environment import SETTING
from service.database.engine import Connection
from service.invokeai.client import Credentials
from tests.fakes.rows import add_backend, add_photo
from tests.service.environment.conftest import Start

ONE, TWO = "http://127.0.0.1:9", "http://127.0.0.1:10"


async def backends(connection: Connection) -> list[tuple[str, bool]]:
    return [(row["url"], row["enabled"]) for row in await connection.fetch("SELECT * FROM backends ORDER BY id")]


async def logins(connection: Connection, backend_id: UUID) -> Any:
    return msgspec.json.decode(await connection.fetchval("SELECT logins::text FROM backends WHERE id = $1", backend_id))


async def test_the_first_start_adds_it_and_the_next_finds_it(start: Start, connection: Connection) -> None:
    assert await start(ONE) == await start(ONE)
    assert await backends(connection) == [(ONE, True)]


async def test_two_first_starts_at_once_add_one(start: Start, connection: Connection) -> None:
    first, second = await asyncio.gather(start(ONE), start(ONE))
    assert first == second
    assert await backends(connection) == [(ONE, True)]


async def test_what_the_owner_disabled_stays_disabled(start: Start, connection: Connection) -> None:
    await start(ONE)
    await connection.execute("UPDATE backends SET enabled = false, queue_id = 'other'")
    await start(ONE)
    assert await backends(connection) == [(ONE, False)]


async def test_a_changed_url_is_another_address_of_the_same_row(start: Start, connection: Connection) -> None:
    backend_id = await start(ONE)
    photo = await add_photo(connection, backend_id=backend_id, home=False)
    await connection.execute("UPDATE backends SET identity_since = now(), enabled = false")
    assert await start(TWO) == backend_id
    assert await backends(connection) == [(TWO, True)]
    assert await connection.fetchval("SELECT backend_id FROM photos WHERE id = $1", photo) == backend_id
    said = await connection.fetchval("SELECT identity_since FROM backends")
    assert said is None, "what the owner said of the server at the former address says nothing of this one"


async def test_an_address_that_another_row_has_is_used_through_that_row(start: Start, connection: Connection) -> None:
    former = await start(ONE)
    there = await add_backend(connection, url=TWO, enabled=False)
    photo = await add_photo(connection, backend_id=former, home=False)
    assert await start(TWO) == there
    assert sorted(await backends(connection)) == sorted([(ONE, True), (TWO, True)])
    assert await connection.fetchval("SELECT backend_id FROM photos WHERE id = $1", photo) == former
    assert await start(TWO) == there, "it is remembered"
    assert await start(ONE) == former, "and so is the way back"


async def test_an_address_edited_on_the_page_stays_while_the_url_is_the_same_or_none(
    start: Start, connection: Connection
) -> None:
    backend_id = await start(ONE)
    await connection.execute("UPDATE backends SET url = $1", TWO)
    for url in (ONE, None):
        assert await start(url) == backend_id
        assert await backends(connection) == [(TWO, True)]


async def test_a_database_of_an_earlier_release_has_the_url_in_its_row_alone(
    start: Start, connection: Connection
) -> None:
    backend_id = await add_backend(connection, url=ONE)
    value = msgspec.json.encode({"backend_id": str(backend_id), "retiring": []}).decode()
    await connection.execute("INSERT INTO settings (key, value) VALUES ($1, $2)", SETTING, value)
    assert await start(None) == backend_id
    assert await start(TWO) == backend_id
    assert await backends(connection) == [(TWO, True)]


async def test_a_row_that_the_owner_added_is_found_by_its_address(start: Start, connection: Connection) -> None:
    there = await add_backend(connection, url=ONE)
    assert await start(ONE) == there


async def test_the_demo_is_one_backend_whatever_port_it_has(start: Start, connection: Connection) -> None:
    for url in (ONE, TWO):
        await start(url, kind="demo")
    assert await backends(connection) == [(TWO, True)]


async def test_a_server_in_place_of_the_demo_is_another_backend(start: Start, connection: Connection) -> None:
    await start(ONE, kind="demo")
    await start(TWO)
    assert await backends(connection) == [(ONE, True), (TWO, True)]


async def test_its_login_belongs_to_the_origin_of_its_url(start: Start, connection: Connection) -> None:
    backend_id = await start(ONE, credentials=Credentials("a@b.c", "old"))
    await start(f"{ONE}/behind/a/path", credentials=Credentials("a@b.c", "new"))
    assert await logins(connection, backend_id) == {ONE: {"email": "a@b.c", "password": "new"}}
    await start(TWO)
    await start(TWO, credentials=Credentials("x@b.c", "two"))
    assert await logins(connection, backend_id) == {
        ONE: {"email": "a@b.c", "password": "new"},
        TWO: {"email": "x@b.c", "password": "two"},
    }
