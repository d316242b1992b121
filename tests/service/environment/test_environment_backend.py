"""Which backend DARKROOM_INVOKEAI_URL means (docs/settings.md): at every start, and when the URL has changed."""

from __future__ import annotations

import pytest

from service.backends import environment
from service.database.engine import Connection
from service.invokeai.client import Credentials
from tests.fakes.environment import Servers, Start, backends, photo_of, running, until

NOBODY_THERE = "http://127.0.0.1:9"


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


async def test_a_server_that_knows_none_of_them_is_another_and_the_old_one_stays_until_all_is_home(
    start: Start, connection: Connection, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "LOOK_AGAIN", 0.02)
    one, two = await servers("one"), await servers("two")
    await start.at(one.url).decide()
    await photo_of(connection, one, home=False)
    old = await connection.fetchval("SELECT id FROM backends")
    backend = start.at(two.url)
    start.all_home = False
    assert await backend.decide()
    assert await backends(connection) == [(one.url, True), (two.url, True)]
    async with running(backend):
        await start.until_asked(3)
        assert (start.changes, set(start.asked)) == ([], {old})
        assert await backends(connection) == [(one.url, True), (two.url, True)]
        start.all_home = True

        async def disabled() -> bool:
            return await backends(connection) == [(one.url, False), (two.url, True)]

        await until(disabled)
    assert start.changes == [None]


async def test_an_old_server_that_the_owner_disabled_is_his_own_business(
    start: Start, connection: Connection, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "LOOK_AGAIN", 0.02)
    one, two = await servers("one"), await servers("two")
    for server in (one, two):
        await start.at(server.url).decide()
    backend = start.at(two.url)
    await backend.decide()
    await connection.execute("UPDATE backends SET enabled = false WHERE url = $1", one.url)

    async def let_go() -> bool:
        retiring = "SELECT jsonb_array_length(value->'retiring') FROM settings"
        return await connection.fetchval(retiring) == 0

    async with running(backend):
        await until(let_go)
        await connection.execute("UPDATE backends SET enabled = true")
    assert start.asked == []


async def test_going_back_to_an_earlier_server_takes_it_up_again(
    start: Start, connection: Connection, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "LOOK_AGAIN", 0.02)
    one, two = await servers("one"), await servers("two")
    for server in (one, two, one):
        await start.at(server.url).decide()
    backend = start.at(one.url)
    await backend.decide()

    async def only_the_second_retired() -> bool:
        return await backends(connection) == [(one.url, True), (two.url, False)]

    async with running(backend):
        await until(only_the_second_retired)


async def test_a_changed_url_that_does_not_answer_is_decided_as_soon_as_it_does(
    start: Start, connection: Connection, servers: Servers, monkeypatch: pytest.MonkeyPatch
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

    async def decided() -> bool:
        return len(start.changes) > 0

    async with running(backend):
        await two.accept()
        await until(decided)
    assert (two.url, True) in await backends(connection)


async def test_what_was_decided_is_told_even_if_that_fails_at_first(
    start: Start, connection: Connection, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "ASK_AGAIN", 0.02)
    one, two = await servers("one"), await servers("two")
    await start.at(one.url).decide()
    backend = start.at(two.url)
    start.all_home = False

    async def broken(_: object) -> None:
        raise OSError("the database is away")

    backend._changed = broken
    with pytest.raises(OSError, match="away"):
        await backend.run()
    backend._changed = start._changed

    async def told() -> bool:
        return start.changes == [None]

    async with running(backend):
        await until(told)


async def test_the_demo_is_one_backend_whatever_port_it_has(start: Start, connection: Connection) -> None:
    for port in (9, 10):
        await start.at(f"http://127.0.0.1:{port}", kind="demo").decide()
    assert await backends(connection) == [("http://127.0.0.1:10", True)]


async def test_a_server_in_place_of_the_demo_is_another_backend(
    start: Start, connection: Connection, servers: Servers
) -> None:
    await start.at(NOBODY_THERE, kind="demo").decide()
    one = await servers("one")
    await start.at(one.url).decide()
    assert await backends(connection) == [(NOBODY_THERE, True), (one.url, True)]


async def test_it_goes_on_after_the_database_was_away(
    start: Start, connection: Connection, servers: Servers, monkeypatch: pytest.MonkeyPatch
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

    async def retired() -> bool:
        return (one.url, False) in await backends(connection)

    async with running(backend):
        await until(retired)
