"""What others plant in the data folder is neither followed nor waited for: links, pipes, folders, sockets."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable
from pathlib import Path
from uuid import UUID, uuid4

import aiohttp
import pytest

from service.database.engine import Connection
from service.media.layout import PHOTOS, large_path, thumbnail_path
from service.media.storage import MARKER, LocalStorage
from service.photos.integrity import MISSING, Integrity
from service.selection.files import bring_back, give_names, take_names
from tests.fakes.darkroom import running, settings_for
from tests.fakes.photos import AddHome
from tests.fakes.pictures import png_of

SECRET = b"RIFF\x16\0\0\0WEBP" + b"root:x:0:0:secret" + b"\0"
"""As long as its header says, so that it would pass for a whole thumbnail."""


def link(path: Path, outside: Path) -> None:
    path.symlink_to(outside)


def dangling_link(path: Path, outside: Path) -> None:
    path.symlink_to(outside.with_name("nothing"))


def pipe(path: Path, outside: Path) -> None:
    os.mkfifo(path)


def folder(path: Path, outside: Path) -> None:
    path.mkdir()


def unix_socket(path: Path, outside: Path) -> None:
    here = os.open(path.parent, os.O_RDONLY)
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(f"/proc/self/fd/{here}/{path.name}")  # the path alone may be too long for one
    finally:
        os.close(here)


Plant = Callable[[Path, Path], None]
PLANTS = [link, dangling_link, pipe, folder, unix_socket]


@pytest.fixture
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("outside") / "shadow"
    path.write_bytes(SECRET)
    return path


@pytest.fixture
async def photo(add_home: AddHome) -> UUID:
    return await add_home(png_of(1500, 900, shade=7), width=1500, height=900)


async def path_of(connection: Connection, photo: UUID) -> str:
    return str(await connection.fetchval("SELECT local_storage_path FROM photos WHERE id = $1", photo))


async def answer(client: aiohttp.ClientSession, path: str) -> tuple[int, bytes]:
    async with asyncio.timeout(20), client.get(path) as response:
        return response.status, await response.read()


@pytest.mark.parametrize("plant", PLANTS)
async def test_what_is_planted_as_an_original_is_not_served(
    client: aiohttp.ClientSession,
    connection: Connection,
    storage: LocalStorage,
    integrity: Integrity,
    photo: UUID,
    outside: Path,
    plant: Plant,
) -> None:
    path = await path_of(connection, photo)
    storage.unlink(path)
    plant(storage.path(path), outside)
    # As long as the row says, so that the size tells nothing.
    await connection.execute("UPDATE photos SET file_size = $2 WHERE id = $1", photo, len(SECRET))
    assert (await integrity.check(path, len(SECRET), "x")).fault == MISSING
    assert await integrity.check_size(path, len(SECRET)) == MISSING
    status, content = await answer(client, f"/api/v1/photos/{photo}/file")
    assert status in (202, 404)
    assert b"secret" not in content
    for size in ("small", "large"):
        status, content = await answer(client, f"/api/v1/photos/{photo}/thumbnail?size={size}")
        assert b"secret" not in content
    assert outside.read_bytes() == SECRET


@pytest.mark.parametrize("plant", PLANTS)
@pytest.mark.parametrize("size", ["small", "large"])
async def test_what_is_planted_as_a_thumbnail_is_made_anew(
    client: aiohttp.ClientSession,
    connection: Connection,
    storage: LocalStorage,
    photo: UUID,
    outside: Path,
    plant: Plant,
    size: str,
) -> None:
    original = await path_of(connection, photo)
    path = thumbnail_path(original) if size == "small" else large_path(original)
    storage.unlink(path)
    plant(storage.path(path), outside)
    await connection.execute("UPDATE photos SET large_bytes = 1000 WHERE id = $1", photo)
    readings = [answer(client, f"/api/v1/photos/{photo}/thumbnail?size={size}") for _ in range(8)]
    for status, content in await asyncio.gather(*readings):
        assert status == 200
        assert content[:4] == b"RIFF"
        assert b"secret" not in content
    assert outside.read_bytes() == SECRET
    if plant is not folder:
        assert storage.exists(path)


@pytest.mark.parametrize("plant", [link, dangling_link, pipe, unix_socket])
async def test_a_selection_writes_through_no_link_and_waits_for_no_pipe(
    storage: LocalStorage, outside: Path, plant: Plant
) -> None:
    content = b"a picture"
    path, name = f"{PHOTOS}/a.png", f"{PHOTOS}/selected/a.png"
    storage.replace(path, content, uuid4())
    storage.replace(thumbnail_path(path), content, uuid4())
    for wanted in (name, thumbnail_path(name)):
        storage.path(wanted).parent.mkdir(parents=True, exist_ok=True)
        plant(storage.path(wanted), outside)
    give_names(storage, path, thumbnail_path(path), [name], file_size=len(content), sha256="")
    for given in (name, thumbnail_path(name)):
        with storage.open(given) as file:
            assert file.read() == content
    storage.unlink(path)
    plant(storage.path(path), outside)
    assert take_names(storage, name, [path]) == [path]  # not the photo's: left alone
    sha256 = "5d0ba4ae7e8d9d2c3b7c3a2f7f0d8ae1"
    assert not bring_back(storage, path, [path], sha256)
    assert outside.read_bytes() == SECRET


@pytest.mark.parametrize("plant", [link, dangling_link, pipe, unix_socket])
def test_what_arrives_is_not_written_through_what_was_planted(
    storage: LocalStorage, outside: Path, plant: Plant
) -> None:
    token = uuid4()
    storage.append(f"{PHOTOS}/a.png", token, [b"first"])
    temporary = storage.temporary(f"{PHOTOS}/a.png", token)
    temporary.unlink()
    plant(temporary, outside)
    with pytest.raises(OSError) as refused:  # noqa: PT011 - its number is looked at
        storage.append(f"{PHOTOS}/a.png", token, [b"second"])
    assert refused.value.errno == errno.ENOENT
    assert outside.read_bytes() == SECRET
    assert not outside.with_name("nothing").exists()


@pytest.mark.parametrize("plant", [link, pipe])
def test_a_marker_that_is_no_file_marks_nothing(storage: LocalStorage, outside: Path, plant: Plant) -> None:
    outside.write_text(str(uuid4()))
    plant(storage.root / MARKER, outside)
    assert storage.marker() is None


async def test_other_users_of_the_machine_cannot_enter_the_folder_of_the_pictures(
    tmp_path: Path, database_url: str
) -> None:
    """Also where an earlier release left it open. Its parents stay as they are: the database's user passes them."""
    tmp_path.chmod(0o755)
    async with running(settings_for(tmp_path, database_url)):
        storage = LocalStorage(tmp_path)
        storage.replace(f"{PHOTOS}/generated/a.png", b"x", uuid4())
        assert (tmp_path / PHOTOS).stat().st_mode & 0o777 == 0o700
    (tmp_path / PHOTOS).chmod(0o755)
    async with running(settings_for(tmp_path, database_url)):
        assert (tmp_path / PHOTOS).stat().st_mode & 0o777 == 0o700
    assert tmp_path.stat().st_mode & 0o777 == 0o755


async def test_a_disk_that_changes_no_modes_is_used_as_it_is(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / PHOTOS).mkdir(mode=0o755)

    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "not on this disk")

    monkeypatch.setattr(os, "fchmod", refuse)
    async with running(settings_for(tmp_path, database_url)) as darkroom, darkroom.http.get("/health/ready") as answer:
        assert answer.status == 200


async def test_a_link_in_place_of_the_folder_closes_no_other_folder(tmp_path: Path, database_url: str) -> None:
    """It may be the owner's, who keeps the pictures elsewhere; or not, and then root would close /etc."""
    (tmp_path / "elsewhere").mkdir(mode=0o755)
    data = tmp_path / "data"
    data.mkdir()
    (data / PHOTOS).symlink_to(tmp_path / "elsewhere")
    async with running(settings_for(data, database_url)) as darkroom, darkroom.http.get("/health/ready") as answer:
        assert answer.status == 200
        assert (tmp_path / "elsewhere").stat().st_mode & 0o777 == 0o755
