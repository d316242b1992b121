"""The server that DARKROOM_INVOKEAI_URL names has moved (docs/settings.md): recognised, and its work goes on there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from service.backends import environment
from service.backends.handover import HandedOver, merge
from service.database.engine import Connection, Database
from service.invokeai.client import Credentials
from tests.fakes import ScriptedInvokeAI, batches
from tests.fakes.correlation_harness import correlation_harness
from tests.fakes.environment import Servers, Start, backends, photo_of, running, until
from tests.fakes.feed_client import subscribe_to_feed, until_item
from tests.fakes.multiuser import Account
from tests.fakes.rows import add_backend, add_batch, add_item, add_photo, add_session, add_step, insert


async def test_a_server_that_knows_its_last_images_has_moved(
    start: Start, connection: Connection, servers: Servers
) -> None:
    before = await servers("one")
    await start.at(before.url).decide()
    await photo_of(connection, before)
    await before.stop()
    after = await servers("one")
    assert await start.at(after.url).decide()
    assert await backends(connection) == [(after.url, True)]


# --- logins ---

LOGIN = Credentials("owner@example.com", "secret")
OWNER = Account(LOGIN.email, LOGIN.password, is_admin=True)


async def give_login(connection: Connection, password: str, url: str) -> None:
    """As the owner does in the UI."""
    login = msgspec.json.encode(Credentials(LOGIN.email, password)).decode()
    await connection.execute("UPDATE backends SET credentials = $1 WHERE url = $2", login, url)


async def test_a_moved_server_is_recognised_with_the_login_its_backend_has(
    start: Start, connection: Connection, servers: Servers
) -> None:
    before = await servers("one", OWNER)
    await start.at(before.url).decide()
    await give_login(connection, LOGIN.password, before.url)
    await photo_of(connection, before)
    await before.stop()
    after = await servers("one", OWNER)
    assert await start.at(after.url).decide()
    assert await backends(connection) == [(after.url, True)]
    assert await connection.fetchval("SELECT credentials->>'password' FROM backends") == LOGIN.password


async def test_a_server_that_lets_nobody_in_is_decided_once_its_login_is_known(
    start: Start, connection: Connection, servers: Servers
) -> None:
    before = await servers("one", OWNER)
    await start.at(before.url).decide()
    await give_login(connection, "changed since", before.url)
    await photo_of(connection, before)
    await before.stop()
    after = await servers("one", OWNER)
    backend = start.at(after.url)
    assert not await backend.decide()
    assert await backends(connection) == [(before.url, True)]
    await add_backend(connection, url=after.url)
    await give_login(connection, LOGIN.password, after.url)
    assert await backend.decide()
    assert await backends(connection) == [(before.url, False), (after.url, True)]
    rows = await connection.fetch("SELECT credentials->>'password' FROM backends ORDER BY id")
    assert [row[0] for row in rows] == ["changed since", LOGIN.password]


# --- a server known by two addresses ---

EARLIER = datetime(2026, 3, 1, tzinfo=UTC)


class Moved:
    """The owner has added the new address by hand before changing the variable."""

    def __init__(self, before: UUID, there: UUID, url: str) -> None:
        self.before, self.there, self.url = before, there, url


@pytest.fixture
async def moved(start: Start, connection: Connection, servers: Servers) -> Moved:
    server = await servers("one")
    await start.at(server.url).decide()
    before = await connection.fetchval("SELECT id FROM backends")
    await photo_of(connection, server)
    await server.stop()
    after = await servers("one")
    there = await add_backend(connection, url=after.url, created_at=EARLIER + timedelta(days=9), enabled=False)
    return Moved(before, there, after.url)


async def test_moving_to_where_another_backend_already_is_leaves_one_of_them(
    start: Start, connection: Connection, moved: Moved, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "LOOK_AGAIN", 0.02)
    waiting = await add_photo(connection, backend_id=moved.before, home=False)
    backend = start.at(moved.url)
    assert await backend.decide()
    enabled = await connection.fetch("SELECT id FROM backends WHERE enabled")
    assert [row["id"] for row in enabled] == [moved.there]
    row = await connection.fetchrow("SELECT backend_id FROM photos WHERE id = $1", waiting)
    assert row["backend_id"] == moved.there, "it is fetched from where the server is now"
    assert await connection.fetchval("SELECT count(*) FROM photos WHERE backend_id = $1", moved.before) == 1
    assert await start.at(moved.url).decide()
    environment_row = await connection.fetchval("SELECT value::text FROM settings")
    assert msgspec.json.decode(environment_row) == {"backend_id": str(moved.there), "retiring": []}


async def test_what_is_under_way_goes_on_at_the_new_address(start: Start, connection: Connection, moved: Moved) -> None:
    step = await add_step(connection, await add_session(connection), backend_id=moved.before, status="processing")
    batch = await add_batch(connection, step, moved.before, state="enqueued", enqueued=1)
    await add_item(connection, batch, step, 7, status="in_progress")
    uploaded = await add_photo(connection, source="uploaded")
    await insert(connection, "backend_uploads", backend_id=moved.before, image_name="a.png", photo_id=uploaded)
    assert await start.at(moved.url).decide()
    for table in ("generation_steps", "step_batches"):
        [row] = await connection.fetch(f"SELECT backend_id FROM {table}")
        assert row["backend_id"] == moved.there
    assert await connection.fetchrow("SELECT FROM backend_uploads WHERE backend_id = $1", moved.there) is not None


@pytest.mark.parametrize(
    ("before", "there", "expected"),
    [
        ({"gallery_watermark": EARLIER + timedelta(days=5)}, {"gallery_watermark": EARLIER + timedelta(days=10)}, 5),
        ({"gallery_watermark": EARLIER + timedelta(days=5)}, {}, 5),
        ({}, {"gallery_watermark": EARLIER + timedelta(days=10)}, None),
    ],
)
async def test_what_the_old_address_had_not_read_of_the_gallery_is_read_from_the_new(
    start: Start,
    connection: Connection,
    moved: Moved,
    before: dict[str, Any],
    there: dict[str, Any],
    expected: int | None,
) -> None:
    for backend_id, values in ((moved.before, {"created_at": EARLIER} | before), (moved.there, there)):
        for column, value in values.items():
            await connection.execute(f"UPDATE backends SET {column} = $2 WHERE id = $1", backend_id, value)
    assert await start.at(moved.url).decide()
    row = await connection.fetchrow("SELECT created_at, gallery_watermark FROM backends WHERE id = $1", moved.there)
    assert tuple(row) == (EARLIER, None if expected is None else EARLIER + timedelta(days=expected))


async def test_who_took_ours_alone_before_gives_no_earlier_beginning(
    start: Start, connection: Connection, moved: Moved
) -> None:
    await connection.execute("UPDATE backends SET mirror = 'own', created_at = $2 WHERE id = $1", moved.before, EARLIER)
    assert await start.at(moved.url).decide()
    row = await connection.fetchrow("SELECT created_at FROM backends WHERE id = $1", moved.there)
    assert row["created_at"] == EARLIER + timedelta(days=9)


async def test_the_login_moves_along_where_the_new_address_has_none(
    start: Start, connection: Connection, moved: Moved
) -> None:
    await connection.execute(
        "UPDATE backends SET credentials = $2 WHERE id = $1", moved.before, msgspec.json.encode(LOGIN).decode()
    )
    assert await start.at(moved.url).decide()
    login = "SELECT credentials->>'password' FROM backends WHERE id = $1"
    assert await connection.fetchval(login, moved.there) == LOGIN.password


async def test_what_the_old_address_got_until_it_was_stopped_is_handed_over_too(
    start: Start, connection: Connection, moved: Moved, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "ASK_AGAIN", 0.02)
    backend = start.at(moved.url)
    late: list[UUID] = []

    async def told_late(handed_over: HandedOver | None) -> None:
        if not late:
            late.append(await add_photo(connection, backend_id=moved.before, home=False))
        start.changes.append(handed_over)

    backend._changed = told_late

    async def told_twice() -> bool:
        return [(told.to, told.photos) for told in start.changes if told] == [(moved.there, 0), (moved.there, 1)]

    async with running(backend):
        await until(told_twice)
    row = await connection.fetchrow("SELECT backend_id FROM photos WHERE id = $1", late[0])
    assert row["backend_id"] == moved.there


async def test_a_step_that_runs_while_its_server_moves_is_completed_where_it_is_now(
    database: Database, connection: Connection, tmp_path: Path
) -> None:
    server = ScriptedInvokeAI(tmp_path / "invokeai")
    await server.start()
    before = await add_backend(connection, url="http://127.0.0.1:9")
    step = await add_step(connection, await add_session(connection), backend_id=before)
    batch = await add_batch(connection, step, before, state="enqueued", enqueued=1)
    await add_item(connection, batch, step, 1, status="in_progress")
    async with correlation_harness(database, server) as harness:
        feed, hold = subscribe_to_feed(harness.registry._hub), server.hold("img")
        [item_id] = await harness.post(batches.blank(), step, batch)
        assert item_id == 1
        await until_item(feed, item_id, "in_progress", harness.backend_id)
        async with database.transaction() as handing_over:
            handed_over = await merge(handing_over, before, harness.backend_id, None)
        await harness.registry.took_over(handed_over)
        await until_item(feed, item_id, "gone", before)
        await until_item(feed, item_id, "in_progress", harness.backend_id)
        hold.release()
        await until_item(feed, item_id, "completed", harness.backend_id)
        await harness.until_step(step, "completed")
        assert harness.registry.get(before).state == "disabled"
    await server.stop()
