"""The data folder: whole and durable or not at all, and nothing outside it."""

from __future__ import annotations

import errno
import io
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest

from service.errors import StartupError
from service.media import storage as storage_module
from service.media.storage import LocalStorage

NAME = "photos/generated/mirror/b/2026-11-22/a.png"


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "data")


def test_what_is_being_written_has_no_name_yet(storage: LocalStorage) -> None:
    token = uuid4()
    storage.append(NAME, token, [b"ha", b"lf"])
    assert not storage.exists(NAME)
    assert storage.temporary(NAME, token).parent == storage.path(NAME).parent
    assert str(token) in storage.temporary(NAME, token).name
    storage.append(NAME, token, [b" whole"])
    storage.publish(NAME, token)
    assert storage.path(NAME).read_bytes() == b"half whole"
    assert not storage.temporary(NAME, token).exists()


def test_publishing_again_replaces_the_same_single_file(storage: LocalStorage) -> None:
    for content in (b"first", b"second"):
        storage.replace(NAME, content, uuid4())
    assert storage.path(NAME).read_bytes() == b"second"
    assert [entry.name for entry in storage.path(NAME).parent.iterdir()] == ["a.png"]


def test_two_writers_of_one_name_do_not_touch_each_others_temporary_file(storage: LocalStorage) -> None:
    one, other = uuid4(), uuid4()
    storage.append(NAME, one, [b"one"])
    storage.append(NAME, other, [b"other"])
    storage.publish(NAME, one)
    assert storage.path(NAME).read_bytes() == b"one"
    storage.publish(NAME, other)
    assert storage.path(NAME).read_bytes() == b"other"


def test_publishing_what_somebody_swept_away_fails_and_leaves_the_file_as_it_was(storage: LocalStorage) -> None:
    storage.replace(NAME, b"kept", uuid4())
    token = uuid4()
    storage.append(NAME, token, [])
    storage.discard(NAME, token)
    with pytest.raises(FileNotFoundError):
        storage.publish(NAME, token)
    assert storage.path(NAME).read_bytes() == b"kept"


@pytest.mark.parametrize("path", ["../outside", "photos/../../outside", "/etc/passwd", "", ".", "photos/a\0.png"])
def test_no_path_leads_out_of_the_data_folder(storage: LocalStorage, path: str) -> None:
    with pytest.raises(ValueError, match="inside the data folder"):
        storage.path(path)
    with pytest.raises(ValueError, match="inside the data folder"):
        storage.unlink(path)


def no_links(*_: object) -> None:
    raise OSError(errno.EOPNOTSUPP, "Operation not supported")


@pytest.mark.parametrize("links", [True, False])
def test_a_second_name_has_the_same_bytes_and_outlives_the_first(
    storage: LocalStorage, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    if not links:
        monkeypatch.setattr(os, "link", no_links)
    second = "photos/generated/completed/2026-11-22/a.png"
    storage.replace(NAME, b"bytes", uuid4())
    os.utime(storage.path(NAME), ns=(1, 2))
    for _ in range(2):
        storage.share(NAME, second)
        assert storage.path(second).stat().st_mtime_ns == 2
    assert storage.path(NAME).samefile(storage.path(second)) is links
    storage.unlink(NAME)
    storage.unlink(NAME)
    assert storage.path(second).read_bytes() == b"bytes"
    assert [path.name for path in storage.root.rglob("*") if path.is_file()] == ["a.png"]


@pytest.mark.parametrize("links", [True, False])
def test_a_second_name_that_is_taken_is_taken_over_at_once(
    storage: LocalStorage, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    if not links:
        monkeypatch.setattr(os, "link", no_links)
    storage.replace(NAME, b"bytes", uuid4())
    storage.replace("photos/other.png", b"others", uuid4())
    done = watched(storage, monkeypatch)
    storage.share(NAME, "photos/other.png")
    assert ("replace", "photos/other.png") in done
    assert storage.path("photos/other.png").read_bytes() == b"bytes"


def test_a_disk_that_cannot_be_written_to_is_not_copied_to(
    storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage.replace(NAME, b"bytes", uuid4())

    def read_only(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "link", read_only)
    with pytest.raises(OSError, match="Read-only"):
        storage.share(NAME, "photos/other.png")
    assert not storage.exists("photos/other.png")


def test_only_our_own_temporary_files_are_strays(storage: LocalStorage) -> None:
    token = uuid4()
    storage.append(NAME, token, [])
    storage.replace(NAME, b"bytes", uuid4())
    folder = storage.path(NAME).parent
    (folder / ".b.png.not-a-token.part").write_bytes(b"")
    (folder / "holiday.part").write_bytes(b"")
    os.utime(storage.temporary(NAME, token), (1000, 1000))
    assert [stray.token for stray in storage.all_strays(before=2000)] == [token]
    assert list(storage.all_strays(before=1000)) == []
    assert [(s.path, s.token) for s in storage.strays([NAME])] == [(storage.temporary(NAME, token), token)]
    assert list(storage.strays(["photos/no/such/folder.png", NAME.replace("a.png", "b.png")])) == []


def test_the_temporary_files_of_many_names_are_found_in_one_reading_of_their_folder(
    storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [NAME.replace("a.png", f"{n}.png") for n in range(9)]
    tokens = {uuid4() for _ in names}
    for name, token in zip(names, tokens, strict=True):
        storage.append(name, token, [])
    read: list[Path] = []
    iterdir = Path.iterdir

    def counted(folder: Path) -> Iterator[Path]:
        read.append(folder)
        return iterdir(folder)

    monkeypatch.setattr(Path, "iterdir", counted)
    assert {stray.token for stray in storage.strays(names)} == tokens
    assert read == [storage.path(NAME).parent]


def test_a_temporary_file_that_gets_its_name_while_strays_are_looked_for_is_none(
    storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick, stray = uuid4(), uuid4()
    storage.append(NAME, quick, [b"whole"])
    storage.append(NAME, stray, [])
    os.utime(storage.temporary(NAME, quick), (1000, 1000))
    os.utime(storage.temporary(NAME, stray), (1000, 1000))
    lstat = Path.lstat

    def published_meanwhile(path: Path) -> os.stat_result:
        if str(quick) in path.name and path.exists():
            storage.publish(NAME, quick)
        return lstat(path)

    monkeypatch.setattr(Path, "lstat", published_meanwhile)
    assert [found.token for found in storage.all_strays(before=2000)] == [stray]


def test_a_folder_that_cannot_be_read_hides_no_strays_elsewhere(
    storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, token = NAME.replace("2026-11-22", "2026-11-23"), uuid4()
    for name in (NAME, other):
        storage.append(name, token, [])
        os.utime(storage.temporary(name, token), (1000, 1000))
    closed = storage.path(NAME).parent
    iterdir, lstat = Path.iterdir, Path.lstat

    def refused(folder: Path) -> Iterator[Path]:
        if folder == closed:
            raise PermissionError(13, "Permission denied")
        return iterdir(folder)

    def unknown(path: Path) -> os.stat_result:
        if path.parent == closed:
            raise PermissionError(13, "Permission denied")
        return lstat(path)

    monkeypatch.setattr(Path, "iterdir", refused)
    monkeypatch.setattr(Path, "lstat", unknown)
    assert [stray.path for stray in storage.strays([NAME, other])] == [storage.temporary(other, token)]
    assert [stray.path for stray in storage.all_strays(before=2000)] == [storage.temporary(other, token)]


def test_one_file_that_cannot_be_removed_keeps_none_of_the_others(
    storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [NAME, "photos/b.png", "photos/c.png"]
    for name in names:
        storage.replace(name, b"bytes", uuid4())
    unlink = Path.unlink

    def refused(path: Path, missing_ok: bool = False) -> None:
        if path == storage.path(NAME):
            raise PermissionError(13, "Permission denied")
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", refused)
    assert not storage.unlink_all(names)
    assert [storage.exists(name) for name in names] == [True, False, False]
    assert storage.unlink_all(names[1:])


def watched(storage: LocalStorage, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What is done to the folder from now on, in order: which call, and to what."""
    done: list[tuple[str, str]] = []

    def within(path: Any) -> str:
        return str(Path(path).relative_to(storage.root))

    def opened(descriptor: int) -> str:
        everything = (storage.root, *storage.root.rglob("*"))
        return within(next(path for path in everything if os.path.samestat(path.stat(), os.fstat(descriptor))))

    def watch(name: str, subject: Callable[..., str]) -> None:
        call = getattr(os, name)

        def watching(*args: Any, **options: Any) -> Any:
            done.append((name, subject(*args)))
            return call(*args, **options)

        monkeypatch.setattr(os, name, watching)

    watch("fsync", opened)
    watch("replace", lambda _, target: within(target))
    watch("link", lambda _, target: within(target))
    watch("mkdir", lambda path, *_: within(path))
    return done


def test_a_file_is_durable_before_it_has_its_name_and_its_name_before_anybody_is_told(
    storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage.root.mkdir()
    token = uuid4()
    done = watched(storage, monkeypatch)
    storage.append("photos/day/a.png", token, [b"whole"])
    storage.publish("photos/day/a.png", token)
    assert done == [
        ("mkdir", "photos"),
        ("fsync", "."),
        ("mkdir", "photos/day"),
        ("fsync", "photos"),
        ("fsync", f"photos/day/.a.png.{token}.part"),
        ("replace", "photos/day/a.png"),
        ("fsync", "photos/day"),
    ]


def test_a_second_name_is_durable_too(storage: LocalStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    storage.replace("photos/a.png", b"whole", uuid4())
    done = watched(storage, monkeypatch)
    storage.share("photos/a.png", "photos/picked/a.png")
    storage.sync_folders(["photos/picked/a.png", "photos/picked/b.png"])
    assert done == [
        ("mkdir", "photos/picked"),
        ("fsync", "photos"),
        ("link", "photos/picked/a.png"),
        ("fsync", "photos/picked"),
    ]


def test_the_marker_ties_the_folder_to_its_library(storage: LocalStorage) -> None:
    library = uuid4()
    assert storage.marker() is None
    with pytest.raises(StartupError, match="mounted"):
        storage.check_marker(library)
    storage.create_marker(library)
    assert storage.marker() == library
    storage.check_marker(library)
    with pytest.raises(StartupError, match="another library"):
        storage.check_marker(UUID(int=1))


def test_a_damaged_marker_is_an_error_and_not_a_new_folder(storage: LocalStorage) -> None:
    storage.create_marker(uuid4())
    (storage.root / ".darkroom").write_text("scribble")
    with pytest.raises(StartupError, match="damaged"):
        storage.marker()


def unmount(storage: LocalStorage) -> Path:
    """The folder as its disk leaves it; where the disk's own is now."""
    disk = storage.root.with_name("disk")
    storage.root.rename(disk)
    storage.root.mkdir()
    return disk


def remount(storage: LocalStorage, disk: Path) -> None:
    shutil.rmtree(storage.root)
    disk.rename(storage.root)


def test_a_disk_that_goes_and_comes_back_is_noticed(storage: LocalStorage) -> None:
    library = uuid4()
    storage.create_marker(library)
    opened = LocalStorage(storage.root)
    opened.check_marker(library)
    disk = unmount(storage)
    for each in (storage, opened):
        with pytest.raises(OSError, match="still mounted"):
            each.check_mounted()
        with pytest.raises(OSError, match="still mounted"):
            each.try_out()
    remount(storage, disk)
    for each in (storage, opened):
        each.check_mounted()
        each.try_out()


@pytest.mark.parametrize("content", [f"{UUID(int=1)}\n", "scribble"])
def test_another_library_in_its_place_is_noticed(storage: LocalStorage, content: str) -> None:
    storage.create_marker(uuid4())
    (storage.root / ".darkroom").write_text(content)
    with pytest.raises(OSError, match="still mounted"):
        storage.check_mounted()


def test_nothing_counts_as_removed_while_the_disk_is_away(storage: LocalStorage) -> None:
    storage.create_marker(uuid4())
    storage.replace(NAME, b"bytes", uuid4())
    disk = unmount(storage)
    assert not storage.unlink_all([NAME])
    remount(storage, disk)
    assert storage.exists(NAME)
    assert storage.unlink_all([NAME])
    assert not storage.exists(NAME)


GB = 10**9


@pytest.mark.parametrize(
    ("total", "free", "enough"), [(100 * GB, GB, True), (100 * GB, GB // 2, False), (GB, GB // 3, True), (GB, 0, False)]
)
def test_room_is_left_for_the_database(
    storage: LocalStorage, monkeypatch: pytest.MonkeyPatch, total: int, free: int, enough: bool
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(total=total, free=free))
    with nullcontext() if enough else pytest.raises(OSError, match="MB are free"):
        storage.check_room()


def test_a_folder_that_can_be_written_says_so(storage: LocalStorage) -> None:
    storage.create_marker(uuid4())
    storage.try_out()
    assert [entry.name for entry in storage.root.iterdir()] == [".darkroom"]


def test_a_missing_data_folder_is_not_writable(storage: LocalStorage) -> None:
    with pytest.raises(OSError, match="No such file"):
        storage.try_out()


def test_a_write_that_takes_less_than_it_was_given_is_gone_on_with(
    storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A raw file may do so, on a disk that is nearly full for one."""

    class Stingy(io.FileIO):
        def write(self, content: Any, /) -> int:
            writes.append(len(content))
            return super().write(bytes(content[:3]))

    writes: list[int] = []

    monkeypatch.setattr(storage_module, "FileIO", Stingy)
    storage.append(NAME, token := uuid4(), [b"0123456789", b"abc", b"defg"])
    monkeypatch.undo()
    assert storage.temporary(NAME, token).read_bytes() == b"0123456789abcdefg"
    assert writes == [10, 7, 4, 1, 3, 4, 1]
