"""Started by root, whom PostgreSQL refuses: an unprivileged user runs it, and no folder is opened to do so."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

import psutil
import pytest
from sqlalchemy import make_url

from service.database.embedded import account, binaries
from service.database.embedded.server import EmbeddedPostgres
from service.errors import StartupError
from tests.database.test_embedded import run, servers_of


@pytest.fixture
def elsewhere(public_folder: Path) -> Path:
    return public_folder / "var-lib"


@pytest.fixture
def closed(public_folder: Path) -> Path:
    """A folder only root may enter."""
    folder = public_folder / "closed"
    folder.mkdir(mode=0o700)
    return folder


async def use(folder: Path, elsewhere: Path, *statements: str) -> object:
    postgres = EmbeddedPostgres(folder, elsewhere=elsewhere)
    url = await postgres.start()
    try:
        return await run(url, *statements)
    finally:
        await postgres.stop()


REMEMBER = ("CREATE TABLE kept (n int)", "INSERT INTO kept VALUES (7) RETURNING n")
RECALL = "SELECT n FROM kept"
IS_EMPTY = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"


async def test_the_server_is_not_root_and_its_sockets_are_private(public_folder: Path, elsewhere: Path) -> None:
    postgres = EmbeddedPostgres(public_folder / "db", elsewhere=elsewhere)
    url = await postgres.start()
    (server,) = servers_of(public_folder / "db")
    assert psutil.Process(server).uids().real != 0
    assert psutil.Process(server).gids().real != 0
    sockets = Path(str(make_url(url).query["host"]))
    assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
    assert stat.S_IMODE((public_folder / "db" / "cluster").stat().st_mode) == 0o700
    await postgres.stop()


async def test_under_a_closed_parent_the_cluster_lives_elsewhere_and_no_parent_is_opened(
    closed: Path, elsewhere: Path
) -> None:
    await use(closed / "data" / "db", elsewhere, *REMEMBER)
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    assert not (closed / "data" / "db" / "cluster").exists()
    assert await use(closed / "data" / "db", elsewhere, RECALL) == 7


async def test_programs_it_cannot_reach_are_copied_with_their_libraries(
    closed: Path, public_folder: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = binaries.installation()
    site_packages = closed / "site-packages"
    shutil.copytree(original, site_packages / binaries.PACKAGE / binaries.INSTALLATION, symlinks=True)
    libraries = f"{binaries.PACKAGE}.libs"
    shutil.copytree(original.parent.with_name(libraries), site_packages / libraries, symlinks=True)
    monkeypatch.setattr(binaries, "installation", lambda: site_packages / binaries.PACKAGE / binaries.INSTALLATION)
    assert await use(public_folder / "db", elsewhere, "SELECT 1") == 1
    (copy,) = (elsewhere / "postgresql").iterdir()
    assert await use(public_folder / "db", elsewhere, "SELECT 1") == 1
    assert [copy] == list((elsewhere / "postgresql").iterdir())
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


async def test_programs_behind_a_link_in_a_closed_folder_can_be_run(
    closed: Path, public_folder: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = binaries.installation()
    link = closed / "site-packages"
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(original.parent.parent)
    monkeypatch.setattr(binaries, "installation", lambda: link / binaries.PACKAGE / binaries.INSTALLATION)
    assert await use(public_folder / "db", elsewhere, "SELECT 1") == 1


async def test_a_data_folder_that_moves_keeps_its_cluster(closed: Path, elsewhere: Path) -> None:
    await use(closed / "before" / "db", elsewhere, *REMEMBER)
    (closed / "before").rename(closed / "after")
    assert await use(closed / "after" / "db", elsewhere, RECALL) == 7
    # and, brought back from a backup under its old name, too
    shutil.copytree(closed / "after", closed / "before")
    shutil.rmtree(closed / "after")
    assert await use(closed / "before" / "db", elsewhere, RECALL) == 7


async def test_a_copy_of_a_data_folder_does_not_take_the_originals_cluster(closed: Path, elsewhere: Path) -> None:
    await use(closed / "original" / "db", elsewhere, *REMEMBER)
    shutil.copytree(closed / "original", closed / "copy")
    with pytest.raises(StartupError, match="is a copy of"):
        await use(closed / "copy" / "db", elsewhere, RECALL)
    assert await use(closed / "original" / "db", elsewhere, RECALL) == 7


async def test_a_new_data_folder_in_a_deleted_ones_place_begins_empty(closed: Path, elsewhere: Path) -> None:
    await use(closed / "db", elsewhere, *REMEMBER)
    shutil.rmtree(closed / "db")
    assert await use(closed / "db", elsewhere, IS_EMPTY) == 0


async def test_a_data_folder_whose_cluster_is_missing_is_refused(closed: Path, elsewhere: Path) -> None:
    await use(closed / "db", elsewhere, *REMEMBER)
    shutil.rmtree(elsewhere / "clusters")
    with pytest.raises(StartupError, match="is missing"):
        await use(closed / "db", elsewhere, RECALL)


async def test_an_ordinary_users_cluster_is_run_as_that_user(public_folder: Path, elsewhere: Path) -> None:
    await use(public_folder / "db", elsewhere, *REMEMBER)
    for path in (public_folder / "db" / "cluster", *(public_folder / "db" / "cluster").rglob("*")):
        shutil.chown(path, 54321, 54321)  # nobody's entry in the user database, as in many containers
    assert await use(public_folder / "db", elsewhere, RECALL) == 7


async def test_a_cluster_given_to_root_is_refused_with_the_way_to_mend_it(public_folder: Path, elsewhere: Path) -> None:
    await use(public_folder / "db", elsewhere, *REMEMBER)
    shutil.chown(public_folder / "db" / "cluster", 0, 0)
    with pytest.raises(StartupError, match="chown -R nobody"):
        await use(public_folder / "db", elsewhere, RECALL)


async def test_without_any_unprivileged_user_it_says_what_to_do(
    public_folder: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account, "CANDIDATES", ("no-such-user",))
    with pytest.raises(StartupError, match="DARKROOM_DATABASE_URL"):
        await use(public_folder / "db", elsewhere, "SELECT 1")
