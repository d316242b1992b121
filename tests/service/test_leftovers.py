"""Temporary files that a read-only, full or absent disk kept from being removed go once it works again, by the sweep
that runs each minute, without another walk through the library."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from service.bus.bus import Bus
from service.database.engine import Database
from service.errors import DatabaseAway
from service.media.layout import PHOTOS, unrecorded
from service.media.leftovers import Leftovers, Stray
from service.media.storage import MARKER, SEARCHED, LocalStorage
from service.retrieval.sweep import Sweep
from tests.fakes import rows
from tests.fakes.retrieval_harness import RetrievalHarness, retrieval_harness

NAME = "photos/a/b.png"


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    storage = LocalStorage(tmp_path / "data")
    storage.create_marker(uuid4())
    return storage


@pytest.fixture
async def sweep(database: Database, storage: LocalStorage) -> Sweep:
    """Has walked already."""
    sweep = Sweep(database, storage, Bus())
    await sweep.run()
    return sweep


@pytest.fixture
async def harness(database: Database, tmp_path: Path) -> AsyncIterator[RetrievalHarness]:
    async with retrieval_harness(database, tmp_path) as made:
        yield made


@contextmanager
def read_only(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As Linux has it: also what is not there cannot be removed."""

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with monkeypatch.context() as broken:
        for call in ("unlink", "open", "replace"):
            broken.setattr(Path, call, refuse)
        broken.setattr(LocalStorage, "check_mounted", lambda _: None)  # reading works
        yield


def leave(storage: LocalStorage, name: str = NAME) -> Path:
    """A temporary file of a claim that nobody holds."""
    token = uuid4()
    storage.append(name, token, [b"half"])
    return storage.temporary(name, token)


def discard(storage: LocalStorage, temporary: Path) -> None:
    storage.discard(str(Path(NAME)), UUID(temporary.name.split(".")[-2]))


async def test_what_could_not_be_removed_goes_with_the_first_sweep_after_the_disk_heals(
    storage: LocalStorage, sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = leave(storage)
    with read_only(monkeypatch):
        with pytest.raises(OSError, match="Read-only"):
            discard(storage, temporary)
        await sweep.run()
        await sweep.run()
    assert temporary.exists()
    monkeypatch.setattr(storage, "all_strays", None)  # a walk would fail
    await sweep.run()
    assert not temporary.exists()


async def test_what_was_never_there_is_not_remembered(storage: LocalStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    with read_only(monkeypatch):
        storage.discard(NAME, uuid4())
    assert storage.leftovers.take() == []


async def test_a_leftover_of_an_earlier_process_is_tried_again_too(
    database: Database, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = leave(storage)
    os.utime(temporary, (1000, 1000))
    sweep = Sweep(database, storage, Bus())
    with read_only(monkeypatch):
        await sweep.run()
    monkeypatch.setattr(storage, "all_strays", None)
    await sweep.run()
    assert not temporary.exists()


async def test_what_a_disk_took_along_goes_when_it_is_back(storage: LocalStorage, sweep: Sweep) -> None:
    temporary = leave(storage)
    disk = storage.root.with_name("disk")
    storage.root.rename(disk)
    storage.root.mkdir()
    discard(storage, temporary)
    await sweep.run()
    storage.root.rmdir()
    disk.rename(storage.root)
    assert temporary.exists()
    await sweep.run()
    assert not temporary.exists()


async def test_a_library_whose_disk_is_away_at_first_is_walked_when_it_is_back(
    database: Database, storage: LocalStorage
) -> None:
    temporary = leave(storage)
    os.utime(temporary, (1000, 1000))
    (storage.root / MARKER).rename(storage.root / "away")
    sweep = Sweep(database, storage, Bus())
    await sweep.run()
    assert temporary.exists()
    (storage.root / "away").rename(storage.root / MARKER)
    await sweep.run()
    assert not temporary.exists()


async def test_a_claim_that_is_held_keeps_its_file(
    database: Database, storage: LocalStorage, sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = leave(storage)
    token = temporary.name.split(".")[-2]
    async with database.connection() as connection:
        await rows.add_photo(
            connection,
            home=False,
            backend_id=await rows.add_backend(connection),
            invoke_id="x.png",
            retrieval_status="retrieving",
            retrieval_claim=UUID(token),
        )
        await connection.execute("UPDATE photos SET retrieval_lease_until = now() + interval '1 hour'")
    with read_only(monkeypatch), pytest.raises(OSError, match="Read-only"):
        discard(storage, temporary)
    await sweep.run()
    assert temporary.exists()


async def test_a_database_that_is_away_makes_the_sweep_forget_nothing(
    database: Database, storage: LocalStorage, sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = leave(storage)
    with read_only(monkeypatch), pytest.raises(OSError, match="Read-only"):
        discard(storage, temporary)
    connection, calls = database.connection, 0

    def fail_at_last() -> Any:
        nonlocal calls
        calls += 1
        if calls > 2:
            raise DatabaseAway
        return connection()

    with monkeypatch.context() as away:
        away.setattr(database, "connection", fail_at_last)
        with pytest.raises(DatabaseAway):
            await sweep.run()
    assert temporary.exists()
    await sweep.run()
    assert not temporary.exists()


@pytest.mark.parametrize("answered", range(7))
async def test_a_database_that_goes_away_in_mid_sweep_makes_it_forget_no_mark_of_an_upload(
    database: Database, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch, answered: int
) -> None:
    sweep = Sweep(database, storage, Bus(), undecided=0)
    await sweep.run()
    mark = leave(storage, unrecorded(f"photos/a/{uuid4()}.png"))
    storage.leftovers.add(Stray(mark, UUID(mark.name.split(".")[-2])))
    connection, calls = database.connection, 0

    def fail_at_last() -> Any:
        nonlocal calls
        calls += 1
        if calls > answered:
            raise DatabaseAway
        return connection()

    with monkeypatch.context() as away, suppress(DatabaseAway):
        away.setattr(database, "connection", fail_at_last)
        await sweep.run()
    await sweep.run()
    assert not mark.exists()


async def test_more_than_can_be_remembered_are_found_by_one_walk(
    storage: LocalStorage, sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage.leftovers = Leftovers(most=2)
    walks = 0
    walk = storage.all_strays

    def counted(before: float) -> Any:
        nonlocal walks
        walks += 1
        return walk(before)

    monkeypatch.setattr(storage, "all_strays", counted)
    temporaries = [leave(storage) for _ in range(5)]
    with read_only(monkeypatch):
        for temporary in temporaries:
            with pytest.raises(OSError, match="Read-only"):
                discard(storage, temporary)
        for _ in range(3):
            await sweep.run()
    assert walks == 0, "while nothing can be removed, looking for more is of no use"
    for temporary in temporaries:
        os.utime(temporary, (1000, 1000))
    for _ in range(3):
        await sweep.run()
    assert [temporary for temporary in temporaries if temporary.exists()] == []
    assert walks == 1


async def test_a_disk_that_turns_read_only_in_mid_download_costs_nothing_and_leaves_nothing(
    harness: RetrievalHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = harness.server.add_canvas_save()
    photo = await harness.photo(image)
    sweep = Sweep(harness.database, harness.storage, harness.announced)
    await sweep.run()
    with monkeypatch.context() as broken:
        # The bytes are written; then neither a name can be given nor one be taken away.
        for call in ("unlink", "replace"):

            def refuse(path: Path, *_: Any, **__: Any) -> None:
                raise OSError(errno.EROFS, os.strerror(errno.EROFS))

            broken.setattr(Path, call, refuse)
        harness.start()
        row = await harness.until_tried(photo)
        assert row["retrieval_attempts"] == 0
        assert [name for name in harness.files() if name.endswith(".part")]
    row = await harness.until_status(photo, "completed")
    harness.assert_home(row, image)
    await sweep.run()
    assert [name for name in harness.files() if name.endswith(".part")] == []


def opened_again(storage: LocalStorage, library: UUID) -> LocalStorage:
    """As the next process opens the folder."""
    again = LocalStorage(storage.root)
    again.check_marker(library)
    again.take_search_mark()
    return again


async def searches(database: Database, storage: LocalStorage) -> bool:
    """Whether the first sweep walks the library: it finds what nobody knows of."""
    temporary = leave(storage)
    os.utime(temporary, (0, 0))
    await Sweep(database, storage, Bus()).run()
    found = not temporary.exists()
    temporary.unlink(missing_ok=True)
    return found


async def test_after_a_stop_that_left_nothing_the_library_is_not_searched_again(
    database: Database, storage: LocalStorage
) -> None:
    library = storage.marker()
    assert library is not None
    assert await searches(database, storage), "the first of this library"
    storage.leave_search_mark()
    again = opened_again(storage, library)
    assert not await searches(database, again)
    killed = opened_again(again, library)
    assert await searches(database, killed), "the process before left no mark"


@pytest.mark.parametrize("mark", ["not a time", "0", "9" * 12, "nan"])
async def test_a_mark_that_is_old_or_damaged_is_none(database: Database, storage: LocalStorage, mark: str) -> None:
    library = storage.marker()
    assert library is not None
    (storage.root / SEARCHED).write_text(mark)
    again = opened_again(storage, library)
    assert await searches(database, again)
    assert not (storage.root / SEARCHED).exists()


async def test_a_stop_that_leaves_a_temporary_file_leaves_no_mark(
    sweep: Sweep, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = leave(storage)
    with read_only(monkeypatch), pytest.raises(OSError, match="Read-only"):
        discard(storage, temporary)
    storage.leave_search_mark()
    assert not (storage.root / SEARCHED).exists()
    await sweep.run()
    storage.leave_search_mark()
    assert (storage.root / SEARCHED).exists()


async def test_no_mark_is_left_on_a_disk_that_is_not_there(sweep: Sweep, storage: LocalStorage) -> None:
    (storage.root / MARKER).unlink()
    storage.leave_search_mark()
    assert list(storage.root.iterdir()) == []


async def test_a_real_disk_that_was_read_only(database: Database, storage: LocalStorage) -> None:
    photos = storage.root / PHOTOS
    photos.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", photos], capture_output=True, check=False).returncode:
        pytest.skip("no disk may be mounted here; the tests above stand for it")
    try:
        sweep = Sweep(database, storage, Bus())
        await sweep.run()
        temporary = leave(storage)
        subprocess.run(["mount", "-o", "remount,ro", photos], check=True)
        with pytest.raises(OSError, match="Read-only"):
            discard(storage, temporary)
        storage.discard(NAME, uuid4())
        await sweep.run()
        subprocess.run(["mount", "-o", "remount,rw", photos], check=True)
        assert temporary.exists()
        await sweep.run()
        assert not temporary.exists()
    finally:
        subprocess.run(["umount", "-l", photos], check=True)
