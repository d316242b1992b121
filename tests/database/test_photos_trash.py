"""Purging (trash): files go, tombstones stay where something could bring the photo back or points to it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from service.bus.bus import Bus
from service.database.engine import Connection, Database
from service.library import changes
from service.library import trash as trash_module
from service.library.thumbnails import Thumbnail, Thumbnails
from service.library.trash import Trash
from service.media.layout import renditions, thumbnail_path
from service.media.storage import LocalStorage
from service.photos import retries
from service.retrieval import queue
from service.retrieval import sweep as sweep_module
from service.retrieval.sweep import Sweep
from tests.fakes.locks import until_waiting_for_a_lock
from tests.fakes.rows import add_alternative, add_backend, add_photo, add_session, add_step, insert

NOW = datetime.now(UTC)
YESTERDAY = NOW - timedelta(days=1)
LONG_AGO = "UPDATE photos SET purged_at = purged_at - interval '1 hour'"
STILL_HAVE_FILES = "SELECT coalesce(array_agg(id), '{}') FROM photos WHERE local_storage_path IS NOT NULL"


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path)


@pytest.fixture
def bus() -> Bus:
    return Bus()


@pytest.fixture
def trash(database: Database, storage: LocalStorage, bus: Bus) -> Trash:
    return Trash(database, storage, bus)


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
    assert not await retries.retry(connection, photo)


async def test_a_worker_that_finishes_a_purged_photo_changes_nothing(trash: Trash, connection: Connection) -> None:
    backend = await add_backend(connection)
    photo = await add_photo(connection, home=False, backend_id=backend, deleted_at=YESTERDAY)
    (claimed,) = await queue.claim(connection, [backend], 1)
    assert await trash.empty() == 1
    assert not await queue.finish(connection, claimed, queue.Home(9, "ab", None, None, None, False), None)
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
        raise RuntimeError("no power to think")

    monkeypatch.setattr(storage, "unlink", cut_short)
    with pytest.raises(RuntimeError, match="no power"):
        await trash.empty()
    monkeypatch.undo()
    assert storage.exists(path)
    await connection.execute(LONG_AGO)
    await Sweep(database, storage, Bus()).run()
    assert not storage.exists(path)


async def on_disk(connection: Connection, storage: LocalStorage, **values: Any) -> tuple[UUID, list[str]]:
    """A photo in the trash, and its files."""
    name = f"photos/generated/mirror/{uuid4()}.png"
    photo = await add_photo(
        connection, deleted_at=YESTERDAY, local_storage_path=name, local_thumbnail_path=thumbnail_path(name), **values
    )
    for file in (name, thumbnail_path(name)):
        storage.replace(file, b"bytes", uuid4())
    return photo, [name, thumbnail_path(name)]


def stuck(storage: LocalStorage, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """That file cannot be removed."""
    unlink = storage.unlink

    def refuse(relative: str) -> None:
        if relative == name:
            raise PermissionError(13, "Permission denied")
        unlink(relative)

    monkeypatch.setattr(storage, "unlink", refuse)


async def test_a_file_that_cannot_be_removed_keeps_nothing_else_and_is_swept_later(
    trash: Trash,
    bus: Bus,
    database: Database,
    connection: Connection,
    storage: LocalStorage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    photos, files = [], []
    for _ in range(5):
        photo, names = await on_disk(connection, storage, invoke_id=None, source="uploaded")
        photos.append(photo)
        files += names
    thumbnails = Thumbnails(bus)
    told: list[UUID] = []
    bus.changed.listen(lambda change, ids: told.extend(ids if change == "photo.removed" else ()))
    for photo in photos:
        thumbnails.put(photo, "small", Thumbnail.of(b"bytes"), drops=thumbnails.drops)
    monkeypatch.setattr(trash_module, "AT_ONCE", 2)
    with monkeypatch.context() as patched:
        stuck(storage, patched, files[0])
        assert await trash.empty() == 5
        assert sorted(told) == sorted(photos)
        assert [thumbnails.get(photo, "small") for photo in photos] == [None] * 5
        assert [name for name in files if storage.exists(name)] == [files[0]]
        await connection.execute(LONG_AGO)
        await Sweep(database, storage, Bus()).run()
        assert storage.exists(files[0])
    await Sweep(database, storage, Bus()).run()
    assert not storage.exists(files[0])
    assert await connection.fetchval(STILL_HAVE_FILES) == []


async def test_a_sweep_goes_on_behind_what_it_cannot_remove(
    database: Database, connection: Connection, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep_module, "PURGED_FILES", sweep_module.PURGED_FILES.replace("LIMIT 500", "LIMIT 2"))
    photos, files = [], []
    for n in range(7):
        photo, names = await on_disk(connection, storage, purged_at=YESTERDAY + timedelta(minutes=n // 3))
        photos.append(photo)
        files.append(names[0])
    with monkeypatch.context() as patched:
        for name in files[:3]:
            stuck(storage, patched, name)
        await Sweep(database, storage, Bus()).run()
        assert [storage.exists(name) for name in files] == [True] * 3 + [False] * 4
        assert sorted(await connection.fetchval(STILL_HAVE_FILES)) == sorted(photos[:3])


async def test_a_sweep_looks_for_half_written_files_only_where_one_can_be(
    database: Database, connection: Connection, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        await on_disk(connection, storage, purged_at=YESTERDAY)
    _, (name, _) = await on_disk(
        connection, storage, purged_at=YESTERDAY, retrieval_status="gone", next_retrieval_attempt=None
    )
    storage.append(name, uuid4(), [b"ha"])
    asked: list[set[str]] = []
    strays = storage.strays

    def remembered(names: Any) -> Any:
        asked.append(set(names))
        return strays(asked[-1])

    monkeypatch.setattr(storage, "strays", remembered)
    await Sweep(database, storage, Bus()).run()
    assert asked == [{name, *renditions(name)}]
    assert [file for file in storage.root.rglob("*") if file.is_file()] == []


async def test_a_sweep_keeps_no_connection_while_it_removes_files(
    database: Database, connection: Connection, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await on_disk(connection, storage, purged_at=YESTERDAY)
    backend = await add_backend(connection)
    await add_photo(connection, home=False, backend_id=backend)
    (leased,) = await queue.claim(connection, [backend], 1, lease_seconds=-1)
    storage.append(leased.path, leased.claim, [b"ha"])
    storage.append("photos/stray.png", uuid4(), [b"ha"])
    ours, during = database.in_use, []
    unlink = Path.unlink

    def watched(path: Path, missing_ok: bool = False) -> None:
        during.append(database.in_use - ours)
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", watched)
    await Sweep(database, storage, Bus()).run()
    assert during
    assert set(during) == {0}
    assert [file for file in storage.root.rglob("*") if file.is_file()] == []


async def test_what_is_in_the_trash_by_now_is_told_by_the_clock_that_put_it_there(
    trash: Trash, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Behind(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Behind:
            return super().now(tz) - timedelta(hours=1)  # type: ignore[return-value]

    monkeypatch.setattr(trash_module, "datetime", Behind)
    photo = await add_photo(connection)
    assert await changes.trash(connection, photo)
    assert await trash.empty() == 1


async def test_a_photo_restored_just_before_its_turn_stays(
    trash: Trash, database: Database, connection: Connection
) -> None:
    photo = await add_photo(connection, deleted_at=YESTERDAY)
    async with database.transaction() as restoring:
        await restoring.execute("UPDATE photos SET deleted_at = NULL WHERE id = $1", photo)
        purging = asyncio.create_task(trash.empty())
        await until_waiting_for_a_lock(connection)
    assert await purging == 0
    assert (await row_of(connection, photo) or {})["purged_at"] is None


async def test_the_step_is_locked_before_its_photo(trash: Trash, database: Database, connection: Connection) -> None:
    photo = await add_photo(connection, deleted_at=YESTERDAY)
    step = await add_step(connection, await add_session(connection), status="completed")
    await add_alternative(connection, step, photo)
    async with database.transaction() as selecting:
        await selecting.execute("SELECT FROM generation_steps WHERE id = $1 FOR UPDATE", step)
        purging = asyncio.create_task(trash.empty())
        await until_waiting_for_a_lock(connection)
        # Were the photo locked first, this would be a deadlock.
        await selecting.execute("SELECT FROM photos WHERE id = $1 FOR UPDATE NOWAIT", photo)
    assert await purging == 1
