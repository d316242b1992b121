"""Nothing that is here is called lost: a whole picture in its place makes its row say so, against any other
decision."""

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
from tests.fakes.retrieval_harness import RetrievalHarness, retrieval_harness


@pytest.fixture
async def harness(database: Database, tmp_path: Path) -> AsyncIterator[RetrievalHarness]:
    async with retrieval_harness(database, tmp_path, timeout=10) as made:
        yield made


async def in_place(harness: RetrievalHarness, content: bytes | None = None) -> tuple[UUID, Image]:
    """A photo whose file was published by a process that was killed before it wrote the row."""
    image = harness.server.add_image(size=(300, 200), metadata={"seed": 7})
    photo = await harness.photo(image)
    path = (await harness.row(photo))["local_storage_path"]
    harness.storage.replace(path, harness.original(image) if content is None else content, uuid4())
    return photo, image


def gone(name: str) -> str:
    return f"{name}(/full|/metadata|/thumbnail)?$"


async def test_an_image_that_invokeai_has_deleted_meanwhile_is_home(harness: RetrievalHarness) -> None:
    photo, image = await in_place(harness)
    harness.server.on(gone(image.image_name), answers.status(404, "Image not found"), times=None)
    harness.start()
    row = await harness.until_status(photo, "completed")
    harness.assert_home(row, image)
    assert row["generation_params"] == {"seed": 7}
    assert harness.files() == sorted([row["local_storage_path"], row["local_thumbnail_path"]])
    assert harness.announced.messages == [("ready", photo)]
    assert harness.announced.ledgers == 1


async def test_an_image_that_cannot_be_fetched_again_is_home(harness: RetrievalHarness) -> None:
    harness.limits.retrieval_max_attempts = 1
    harness.server.on("/full$", answers.corrupted(), times=None)
    photo, image = await in_place(harness)
    harness.start()
    row = await harness.until_status(photo, "completed")
    harness.assert_home(row, image)
    assert harness.files() == sorted([row["local_storage_path"], row["local_thumbnail_path"]])


async def test_a_file_that_is_not_whole_is_nothing(harness: RetrievalHarness) -> None:
    photo, image = await in_place(harness, content=b"\x89PNG\r\n\x1a\nhalf")
    harness.server.on(gone(image.image_name), answers.status(404, "Image not found"), times=None)
    harness.start()
    row = await harness.until(photo, lambda row: row["retrieval_error"] is not None)
    assert (row["retrieval_status"], row["sha256"]) == ("pending", None)


@pytest.mark.parametrize("forgotten", [True, False])
async def test_a_server_removed_while_its_picture_arrives_loses_nothing(
    harness: RetrievalHarness, forgotten: bool
) -> None:
    gate = asyncio.Event()
    held = harness.server.on("/full$", answers.after(gate))
    image = harness.server.add_image(size=(300, 200))
    photo = await harness.photo(image)
    harness.start()
    await held.wait()
    async with harness.database.connection() as connection:
        assert await connection.fetch(removal.GIVE_UP_PHOTOS, harness.backend_id, 100, removal.REMOVED)
        if forgotten:
            assert await connection.fetch(removal.FORGET, harness.backend_id, 100)
    gate.set()
    row = await harness.until_status(photo, "completed")
    harness.assert_home(row, image)
    async with asyncio.timeout(10):
        while harness.retrieval.in_flight:
            await asyncio.sleep(0.01)
    assert harness.announced.about(photo) == ["ready"]
