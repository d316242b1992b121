"""Nothing that is here is called lost: a whole picture in its place makes its row say so, whatever else was decided."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from service.backends import removal
from service.database.engine import Database
from service.demo.images import Image
from tests.fakes import answers
from tests.fakes.retrieving import Retrieving, retrieving


@pytest.fixture
async def at_work(database: Database, tmp_path: Path) -> AsyncIterator[Retrieving]:
    async with retrieving(database, tmp_path, timeout=10) as made:
        yield made


async def in_place(at_work: Retrieving, content: bytes | None = None) -> tuple[UUID, Image]:
    """A photo whose file was published by a process that was killed before it wrote the row."""
    image = at_work.server.add_image(size=(300, 200), metadata={"seed": 7})
    photo = await at_work.photo(image)
    path = (await at_work.row(photo))["local_storage_path"]
    at_work.storage.replace(path, at_work.original(image) if content is None else content, uuid4())
    return photo, image


def gone(name: str) -> str:
    return f"{name}(/full|/metadata|/thumbnail)?$"


async def test_an_image_that_invokeai_has_deleted_meanwhile_is_home(at_work: Retrieving) -> None:
    photo, image = await in_place(at_work)
    at_work.server.on(gone(image.image_name), answers.status(404, "Image not found"), times=None)
    at_work.start()
    row = await at_work.until_status(photo, "completed")
    at_work.assert_home(row, image)
    assert row["generation_params"] == {"seed": 7}
    assert at_work.files() == sorted([row["local_storage_path"], row["local_thumbnail_path"]])
    assert at_work.told.said == [("ready", photo)]
    assert at_work.told.ledgers[at_work.backend_id] == 1


async def test_an_image_that_cannot_be_fetched_again_is_home(at_work: Retrieving) -> None:
    at_work.limits.retrieval_max_attempts = 1
    at_work.server.on("/full$", answers.corrupted(), times=None)
    photo, image = await in_place(at_work)
    at_work.start()
    row = await at_work.until_status(photo, "completed")
    at_work.assert_home(row, image)
    assert at_work.files() == sorted([row["local_storage_path"], row["local_thumbnail_path"]])


async def test_a_file_that_is_not_whole_is_nothing(at_work: Retrieving) -> None:
    photo, image = await in_place(at_work, content=b"\x89PNG\r\n\x1a\nhalf")
    at_work.server.on(gone(image.image_name), answers.status(404, "Image not found"), times=None)
    at_work.start()
    await at_work.until_status(photo, "gone")


@pytest.mark.parametrize("forgotten", [True, False])
async def test_a_server_removed_while_its_picture_arrives_loses_nothing(at_work: Retrieving, forgotten: bool) -> None:
    gate = asyncio.Event()
    held = at_work.server.on("/full$", answers.after(gate))
    image = at_work.server.add_image(size=(300, 200))
    photo = await at_work.photo(image)
    at_work.start()
    await held.wait()
    async with at_work.database.connection() as connection:
        assert await connection.fetch(removal.GIVE_UP_PHOTOS, at_work.backend_id, 100, removal.REMOVED)
        if forgotten:
            assert await connection.fetch(removal.FORGET, at_work.backend_id, 100)
    gate.set()
    row = await at_work.until_status(photo, "completed")
    at_work.assert_home(row, image)
    async with asyncio.timeout(10):
        while at_work.retrieval.in_flight:
            await asyncio.sleep(0.01)
    assert at_work.told.about(photo) == ["ready"]
