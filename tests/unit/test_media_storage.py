"""The data folder: whole and durable or not at all, and nothing outside it."""

from __future__ import annotations

import os
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from service.errors import StartupError
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


def test_a_link_is_a_second_name_for_the_same_bytes(storage: LocalStorage) -> None:
    storage.replace(NAME, b"bytes", uuid4())
    storage.link(NAME, "photos/generated/completed/2026-11-22/a.png")
    storage.link(NAME, "photos/generated/completed/2026-11-22/a.png")
    storage.unlink(NAME)
    storage.unlink(NAME)
    assert storage.path("photos/generated/completed/2026-11-22/a.png").read_bytes() == b"bytes"
    assert not storage.exists(NAME)


def test_a_link_never_replaces_other_bytes(storage: LocalStorage) -> None:
    storage.replace(NAME, b"bytes", uuid4())
    storage.replace("photos/other.png", b"others", uuid4())
    with pytest.raises(FileExistsError):
        storage.link(NAME, "photos/other.png")
    assert storage.path("photos/other.png").read_bytes() == b"others"


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
    assert [(s.path, s.token) for s in storage.strays(NAME)] == [(storage.temporary(NAME, token), token)]
    assert storage.strays("photos/no/such/folder.png") == []
    assert storage.strays(NAME.replace("a.png", "b.png")) == []


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


def test_a_folder_that_can_be_written_says_so_and_shows_its_free_space(storage: LocalStorage) -> None:
    storage.create_marker(uuid4())
    storage.check_writable()
    assert storage.free_bytes() > 0
    assert [entry.name for entry in storage.root.iterdir()] == [".darkroom"]


def test_a_missing_data_folder_is_not_writable(storage: LocalStorage) -> None:
    with pytest.raises(OSError, match="No such file"):
        storage.check_writable()
