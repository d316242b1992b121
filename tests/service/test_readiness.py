"""`/health/ready` names by code what keeps pictures from coming home, found by trying; `/status` says it in words."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import stat
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from service.media.layout import PHOTOS
from service.media.storage import MARKER, LocalStorage
from service.operations.readiness import WORDS, Readiness
from tests.fakes.darkroom import Darkroom, running, settings_for


@pytest.fixture
async def darkroom(tmp_path: Path, database_url: str) -> AsyncIterator[Darkroom]:
    """What it looked at when it started has been answered: requests at the same time share one look."""
    async with running(settings_for(tmp_path, database_url)) as darkroom:
        await ready(darkroom)
        yield darkroom


async def ready(darkroom: Darkroom) -> dict[str, Any]:
    async with darkroom.http.get("/health/ready") as response:
        answer: dict[str, Any] = await response.json()
        assert set(answer) == {"status", "database", "data", "details"}
        assert (response.status == 200) == (answer["status"] == "ok") == (answer["details"] == [])
        return answer


async def troubles(darkroom: Darkroom) -> list[dict[str, Any]]:
    async with darkroom.http.get("/api/v1/status") as response:
        assert response.status == 200
        found: list[dict[str, Any]] = (await response.json())["troubles"]
        return found


@contextmanager
def refusing(call: str, number: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One of the system's calls about files fails, as it does on a disk that is so."""
    with monkeypatch.context() as broken:

        def refuse(*_: object, **__: object) -> None:
            raise OSError(number, os.strerror(number))

        owner = Path if call in ("replace", "unlink") else os
        broken.setattr(owner, call, refuse)
        yield


@pytest.mark.parametrize(
    ("call", "number", "code"),
    [
        ("open", errno.EROFS, "read_only"),
        ("open", errno.EACCES, "no_permission"),
        ("open", errno.ENOSPC, "disk_full"),
        ("open", errno.EMFILE, "too_many_files"),
        ("fsync", errno.EDQUOT, "disk_full"),
        ("fsync", errno.EIO, "disk_failing"),
        ("replace", errno.EIO, "disk_failing"),
        ("replace", errno.EPERM, "no_permission"),
        ("unlink", errno.EROFS, "read_only"),
    ],
)
async def test_whatever_a_picture_needs_is_tried(
    darkroom: Darkroom, monkeypatch: pytest.MonkeyPatch, call: str, number: int, code: str
) -> None:
    (darkroom.app.state["settings"].data / PHOTOS).mkdir(exist_ok=True)
    assert (await ready(darkroom))["details"] == []
    with refusing(call, number, monkeypatch):
        assert await ready(darkroom) == {"status": "failing", "database": "ok", "data": "failing", "details": [code]}
        (trouble,) = await troubles(darkroom)
        assert trouble["code"] == code
        assert (os.strerror(number) in trouble["words"]) == (code == "disk_failing")
        again = await troubles(darkroom)
        assert again == [trouble], "it is the same trouble since it began"
    assert await ready(darkroom) == {"status": "ok", "database": "ok", "data": "ok", "details": []}
    assert await troubles(darkroom) == []


async def test_a_trial_leaves_nothing_and_makes_no_folder(darkroom: Darkroom, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    await ready(darkroom)
    assert sorted(tmp_path.rglob("*")) == before
    (tmp_path / PHOTOS).mkdir()
    await ready(darkroom)
    assert list((tmp_path / PHOTOS).iterdir()) == []


@pytest.mark.parametrize("how", ["its marker is gone", "another library's", "a damaged marker"])
async def test_another_folder_in_its_place_is_named(darkroom: Darkroom, tmp_path: Path, how: str) -> None:
    marker = tmp_path / MARKER
    kept = marker.read_text()
    if how == "its marker is gone":
        marker.unlink()
    else:
        marker.write_text("0198c0de-0000-7000-8000-000000000000\n" if how == "another library's" else "scribble")
    answer = await ready(darkroom)
    assert answer["details"] == ["wrong_folder"]
    assert str(tmp_path) not in str(answer)
    marker.write_text(kept)
    assert (await ready(darkroom))["details"] == []


async def test_a_disk_below_the_reserve_is_full(darkroom: Darkroom, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await ready(darkroom))["details"] == []  # the look at the start is over
    with monkeypatch.context() as full:
        full.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(total=2**40, free=500 * 2**20))
        assert (await ready(darkroom))["details"] == ["disk_full"]
    assert (await ready(darkroom))["details"] == []


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[None]:
    """A small disk of its own; where this user may mount none, errors of the system stand for it in the tests above."""
    if subprocess.run(["mount", "-t", "tmpfs", *options, "tmpfs", folder], capture_output=True, check=False).returncode:
        pytest.skip("no disk may be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


async def test_a_real_disk_that_fills_up_and_becomes_read_only_is_named_and_works_again(
    tmp_path: Path, database_url: str
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    with mounted(data, "-o", "size=8m"):
        async with running(settings_for(data, database_url)) as darkroom:
            assert (await ready(darkroom))["details"] == []
            (data / "films").write_bytes(b"\1" * (7 * 2**20))
            assert (await ready(darkroom))["details"] == ["disk_full"]
            (data / "films").unlink()
            assert (await ready(darkroom))["details"] == []
            (data / PHOTOS).mkdir()
            with mounted(data / PHOTOS, "-o", "ro,size=1m"):
                assert (await ready(darkroom))["details"] == ["read_only"]
            assert (await ready(darkroom))["details"] == []


async def test_a_database_that_is_away_or_takes_no_changes_is_named(
    darkroom: Darkroom, server: AsyncEngine, database_url: str
) -> None:
    name = database_url.rpartition("/")[2].partition("?")[0]
    end = text(f"SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '{name}'")
    healthy = {"status": "ok", "database": "ok", "data": "ok", "details": []}
    async with server.connect() as admin:
        await admin.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false"))
        await admin.execute(end)
        away = await ready(darkroom)
        await admin.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true"))
        assert away == healthy | {"status": "failing", "database": "failing", "details": ["database_away"]}
        assert await ready(darkroom) == healthy
        await admin.execute(text(f"ALTER DATABASE {name} SET default_transaction_read_only = on"))
        await admin.execute(end)
        standby = await ready(darkroom)
        await admin.execute(text(f"ALTER DATABASE {name} RESET default_transaction_read_only"))
        await admin.execute(end)
        assert standby == healthy | {"status": "failing", "database": "failing", "details": ["database_read_only"]}
        assert await ready(darkroom) == healthy


async def test_a_disk_that_does_not_answer_holds_one_thread_however_often_one_asks(
    darkroom: Darkroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.operations.readiness.CHECK_SECONDS", 0.2)
    released, begun = threading.Event(), []
    replace = LocalStorage.replace

    def stall(storage: LocalStorage, *arguments: Any) -> None:
        begun.append(1)
        released.wait(20)
        replace(storage, *arguments)

    with monkeypatch.context() as stalled:
        stalled.setattr(LocalStorage, "replace", stall)
        for _ in range(3):
            answers = await asyncio.gather(*(ready(darkroom) for _ in range(5)))
            assert all(answer["details"] == ["disk_stalled"] for answer in answers)
        assert len(begun) == 1
        released.set()
        assert (await ready(darkroom))["details"] == []


async def test_a_folder_that_cannot_be_synced_is_no_trouble_but_a_file_is(
    darkroom: Darkroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync = os.fsync

    def only(kind: Any) -> Any:
        def refuse(descriptor: int) -> None:
            if kind(os.fstat(descriptor).st_mode):
                raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
            fsync(descriptor)

        return refuse

    with monkeypatch.context() as share:
        share.setattr(os, "fsync", only(stat.S_ISDIR))
        assert (await ready(darkroom))["details"] == []
        share.setattr(os, "fsync", only(stat.S_ISREG))
        assert (await ready(darkroom))["details"] == ["disk_failing"]


async def test_what_begins_and_ends_is_noticed_although_nobody_asks(darkroom: Darkroom, tmp_path: Path) -> None:
    readiness: Readiness = darkroom.app.state["readiness"]
    (tmp_path / MARKER).rename(tmp_path / "away")
    await readiness.watch()
    (noticed,) = await troubles(darkroom)
    (tmp_path / "away").rename(tmp_path / MARKER)
    await readiness.watch()
    assert await troubles(darkroom) == []
    assert noticed["words"] == WORDS["wrong_folder"]


def test_every_code_is_documented() -> None:
    documented = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
    assert all(f"`{code}`" in documented for code in WORDS)
