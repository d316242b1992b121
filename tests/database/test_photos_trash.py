"""Purging (rule 11): files go, tombstones stay where something could bring the photo back or points to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from service.database.engine import Connection, Database
from service.library import trash as trash_module
from service.library.thumbnails import Thumbnails
from service.library.trash import Trash
from service.live.announce import Announcer, Readers
from service.live.hub import Hub
from service.media.storage import LocalStorage
from service.retrieval import queue
from service.retrieval.sweep import Sweep
from tests.fakes.rows import add_alternative, add_backend, add_photo, add_session, add_step, insert

NOW = datetime.now(UTC)
YESTERDAY = NOW - timedelta(days=1)


@pytest.fixture
async def connection(database: Database) -> AsyncIterator[Connection]:
    async with database.connection() as connection:
        yield connection


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path)


@pytest.fixture
def trash(database: Database, storage: LocalStorage) -> Trash:
    async def unread(*_: Any) -> Any:
        raise AssertionError

    announcer = Announcer(Hub("test"), Readers(unread, unread, unread, unread, unread))
    return Trash(database, storage, Thumbnails(), announcer)


async def row_of(connection: Connection, photo: UUID) -> asyncpg.Record | None:
    return await connection.fetchrow("SELECT * FROM photos WHERE id = $1", photo)


async def test_only_what_is_in_the_trash_goes_and_what_is_there_long_enough(
    trash: Trash, connection: Connection
) -> None:
    live = await add_photo(connection)
    fresh = await add_photo(connection, deleted_at=NOW)
    old = await add_photo(connection, deleted_at=NOW - timedelta(days=31))
    assert await trash.empty_older_than(30) == 1

    async def purged() -> set[UUID]:
        return {row["id"] for row in await connection.fetch("SELECT id FROM photos WHERE purged_at IS NOT NULL")}

    assert await purged() == {old}
    assert await trash.empty() == 1
    assert await purged() == {old, fresh}
    assert await trash.empty() == 0
    assert (await row_of(connection, live) or {})["deleted_at"] is None


async def test_more_than_one_transaction_holds_goes_too(
    trash: Trash, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trash_module, "AT_ONCE", 2)
    for _ in range(5):
        await add_photo(connection, deleted_at=YESTERDAY)
    assert await trash.empty() == 5


async def test_a_tombstone_keeps_nothing_but_that_it_was(trash: Trash, connection: Connection) -> None:
    photo = await add_photo(
        connection,
        deleted_at=YESTERDAY,
        generation_prompt="secret",
        generation_negative_prompt="hidden",
        generation_params='{"positive_prompt": "secret"}',
        caption="private",
        tags=["mine"],
        thumbhash="abcd",
    )
    assert await trash.empty() == 1
    row = await row_of(connection, photo)
    assert row is not None
    assert row["invoke_id"] is not None
    words = ("secret", "hidden", "private", "mine", "abcd")
    assert not any(word in str(value) for value in row.values() for word in words)


async def test_an_upload_is_forgotten_unless_something_points_to_it(trash: Trash, connection: Connection) -> None:
    async def upload() -> UUID:
        return await add_photo(connection, invoke_id=None, source="uploaded", deleted_at=YESTERDAY)

    alone, parent, source_of_step, sent = [await upload() for _ in range(4)]
    child = await add_photo(connection, source_image_id=parent)
    await add_step(connection, await add_session(connection), source_photo_id=source_of_step)
    backend = await add_backend(connection)
    await insert(connection, "backend_uploads", backend_id=backend, image_name="x.png", photo_id=sent)
    assert await trash.empty() == 4
    left = {row["id"] for row in await connection.fetch("SELECT id FROM photos")}
    assert left == {parent, source_of_step, sent, child}
    assert alone not in left


@pytest.mark.parametrize(
    ("before", "after"), [("pending", "gone"), ("failed", "gone"), ("gone", "gone"), ("completed", "completed")]
)
async def test_what_is_not_home_becomes_gone_and_is_never_claimed_again(
    trash: Trash, connection: Connection, before: str, after: str
) -> None:
    backend = await add_backend(connection)
    values = {} if before == "completed" else {"retrieval_status": before}
    photo = await add_photo(connection, home=before == "completed", backend_id=backend, deleted_at=YESTERDAY, **values)
    assert await trash.empty() == 1
    row = await row_of(connection, photo)
    assert row is not None
    assert (row["retrieval_status"], row["next_retrieval_attempt"]) == (after, None)
    assert await queue.claim(connection, [backend], 10) == []
    assert not await queue.retry(connection, photo)


async def test_a_worker_that_finishes_a_purged_photo_changes_nothing(trash: Trash, connection: Connection) -> None:
    backend = await add_backend(connection)
    photo = await add_photo(connection, home=False, backend_id=backend, deleted_at=YESTERDAY)
    (claimed,) = await queue.claim(connection, [backend], 1)
    assert await trash.empty() == 1
    assert not await queue.finish(connection, claimed, queue.Home(9, "ab", None, None), None)
    assert not await queue.is_wanted(connection, photo)
    row = await row_of(connection, photo)
    assert row is not None
    assert (row["retrieval_status"], row["retrieval_claim"]) == ("gone", None)


async def test_what_a_purge_cut_short_left_behind_is_swept(
    trash: Trash, database: Database, connection: Connection, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = await add_photo(connection, deleted_at=YESTERDAY)
    path = await connection.fetchval("SELECT local_storage_path FROM photos WHERE id = $1", photo)
    storage.replace(path, b"bytes", uuid4())

    def cut_short(*_: Any) -> None:
        raise OSError("no space to think")

    monkeypatch.setattr(storage, "unlink", cut_short)
    with pytest.raises(OSError, match="no space"):
        await trash.empty()
    monkeypatch.undo()
    assert storage.exists(path)
    await connection.execute("UPDATE photos SET purged_at = purged_at - interval '1 hour'")
    await Sweep(database, storage, lambda: None).run()
    assert not storage.exists(path)


async def test_a_photo_restored_just_before_its_turn_stays(
    trash: Trash, database: Database, connection: Connection
) -> None:
    photo = await add_photo(connection, deleted_at=YESTERDAY)
    async with database.transaction() as restoring:
        await restoring.execute("UPDATE photos SET deleted_at = NULL WHERE id = $1", photo)
        purging = asyncio.create_task(trash.empty())
        async with asyncio.timeout(10):
            while not await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
                await asyncio.sleep(0.01)
    assert await purging == 0
    assert (await row_of(connection, photo) or {})["purged_at"] is None


async def test_the_step_is_locked_before_its_photo(trash: Trash, database: Database, connection: Connection) -> None:
    photo = await add_photo(connection, deleted_at=YESTERDAY)
    step = await add_step(connection, await add_session(connection), status="completed")
    await add_alternative(connection, step, photo)
    async with database.transaction() as selecting:
        await selecting.execute("SELECT FROM generation_steps WHERE id = $1 FOR UPDATE", step)
        purging = asyncio.create_task(trash.empty())
        async with asyncio.timeout(10):
            while not await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
                await asyncio.sleep(0.01)
        # Were the photo locked first, this would be a deadlock.
        await selecting.execute("SELECT FROM photos WHERE id = $1 FOR UPDATE NOWAIT", photo)
    assert await purging == 1
