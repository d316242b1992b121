"""The data folder on a network share: what such a share lacks and Darkroom can do without is no failure; what it cannot
do without is found at start and refused in words."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from service.database.embedded.server import EmbeddedPostgres
from service.errors import StartupError
from service.media import regular
from service.media.layout import PHOTOS
from service.media.storage import MARKER
from service.startup import data_folder
from tests.database.test_embedded import run
from tests.fakes import ScriptedInvokeAI
from tests.fakes.darkroom import running, settings_for

REAL_FSYNC = os.fsync


def fails(number: int) -> Callable[..., Any]:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


def sync_fails_for(kind: Callable[[int], bool], number: int) -> Callable[[int], None]:
    def fsync(descriptor: int) -> None:
        if kind(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))
        REAL_FSYNC(descriptor)

    return fsync


@pytest.fixture(params=[errno.EINVAL, errno.ENOTSUP, errno.ENOSYS])
def share(public_folder: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Folders cannot be synced, modes not be changed, second names not be made."""
    monkeypatch.setattr(os, "fsync", sync_fails_for(stat.S_ISDIR, request.param))
    monkeypatch.setattr(os, "link", fails(errno.EOPNOTSUPP))
    monkeypatch.setattr(os, "chmod", fails(errno.EPERM))
    monkeypatch.setattr(os, "fchmod", fails(errno.EPERM))
    monkeypatch.setattr(Path, "chmod", fails(errno.EPERM))


@pytest.mark.usefixtures("share")
async def test_a_share_without_folder_syncs_modes_and_links_takes_pictures(
    tmp_path: Path, database_url: str, invokeai: ScriptedInvokeAI
) -> None:
    async with running(settings_for(tmp_path / "data", database_url, invokeai_url=invokeai.url)) as darkroom:
        async with darkroom.http.get("/health/ready") as response:
            assert (await response.json())["details"] == []
        invokeai.add_canvas_save()
        registry = darkroom.app.state["registry"]
        async with asyncio.timeout(30):
            while True:
                async with darkroom.http.get("/api/v1/photos?status=completed") as response:
                    if (await response.json())["items"]:
                        break
                for backend_id in registry.reachable():
                    registry.request_gallery_reading(backend_id)
                await asyncio.sleep(0.1)
        assert list((tmp_path / "data" / PHOTOS).rglob("*.png"))


@pytest.mark.usefixtures("share")
async def test_the_embedded_database_starts_where_modes_cannot_be_changed(public_folder: Path) -> None:
    postgres = EmbeddedPostgres(public_folder / "db")
    try:
        assert await run(await postgres.start(), "SELECT 1") == 1
    finally:
        await postgres.stop()


@pytest.mark.parametrize(
    ("where", "call", "failure"),
    [
        (os, "fsync", sync_fails_for(stat.S_ISREG, errno.EINVAL)),
        (os, "fsync", sync_fails_for(stat.S_ISDIR, errno.EIO)),
        (Path, "replace", fails(errno.EPERM)),
        (Path, "unlink", fails(errno.EACCES)),
        (regular, "read_start", fails(errno.EIO)),
    ],
    ids=["files cannot be synced", "a folder's sync breaks", "no renaming", "no removing", "the marker is unreadable"],
)
@pytest.mark.parametrize("library", ["new", "known"])
async def test_what_pictures_cannot_do_without_is_refused_at_the_start(
    tmp_path: Path,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    where: Any,
    call: str,
    failure: Any,
    library: str,
) -> None:
    settings = settings_for(tmp_path / "data", database_url)
    if library == "known":
        async with running(settings):
            pass
    with monkeypatch.context() as share:
        share.setattr(where, call, failure)
        with pytest.raises(StartupError, match=r"cannot be kept in .*/data \(.+\)"):
            async with running(settings):
                pass
    async with running(settings):
        pass


async def test_a_folder_whose_files_cannot_be_locked_is_refused(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fcntl, "flock", fails(errno.ENOLCK))
    with pytest.raises(StartupError, match="cannot be locked"):
        async with running(settings_for(tmp_path / "data", database_url)):
            pass


async def test_a_library_on_a_full_disk_can_still_be_looked_at(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_for(tmp_path / "data", database_url)
    async with running(settings):
        pass
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(total=2**40, free=2**20))
    monkeypatch.setattr(os, "pwrite", fails(errno.ENOSPC))
    async with running(settings) as darkroom:
        async with darkroom.http.get("/api/v1/photos") as response:
            assert response.status == 200
        async with darkroom.http.get("/health/ready") as response:
            assert (await response.json())["details"] == ["disk_full"]


def test_a_marker_that_cannot_be_read_is_told_before_anything_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / MARKER).write_text("x")
    monkeypatch.setattr(regular, "read_start", fails(errno.EACCES))
    with pytest.raises(StartupError, match="Permission denied"):
        data_folder.is_library(tmp_path)
