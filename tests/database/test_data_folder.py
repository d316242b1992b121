"""Which data folder a database goes with (docs/files.md): an empty mount point is no new library."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from service.database.engine import Database
from service.errors import StartupError
from service.media.storage import LocalStorage
from service.startup import data_folder
from tests.fakes.rows import add_photo


@pytest.fixture
def mounted(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "disk")


@pytest.fixture
def unmounted(tmp_path: Path) -> LocalStorage:
    """What is there while the disk is not: an empty folder."""
    (tmp_path / "mount point").mkdir()
    return LocalStorage(tmp_path / "mount point")


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"home": False},
        {"home": False, "retrieval_status": "failed", "next_retrieval_attempt": None},
        {"home": False, "retrieval_status": "gone", "next_retrieval_attempt": None},
    ],
    ids=["home", "pending", "failed", "gone"],
)
async def test_a_library_with_any_photo_needs_its_own_folder(
    database: Database, mounted: LocalStorage, unmounted: LocalStorage, values: dict[str, Any]
) -> None:
    library = await data_folder.claim(database, mounted)
    async with database.connection() as connection:
        await add_photo(connection, **values)
    with pytest.raises(StartupError, match="mounted"):
        await data_folder.claim(database, unmounted)
    assert unmounted.marker() is None
    assert await data_folder.claim(database, mounted) == library


async def test_a_library_without_photos_may_begin_anew(
    database: Database, mounted: LocalStorage, unmounted: LocalStorage
) -> None:
    library = await data_folder.claim(database, mounted)
    assert await data_folder.claim(database, unmounted) == library
    assert unmounted.marker() == library
