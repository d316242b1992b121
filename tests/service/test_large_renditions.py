"""Large renditions are made when nothing is fetched, or by the background pass, and removed where none are kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from service.database.engine import Database
from service.demo.images import Image
from service.library.early_renditions import EarlyRenditions
from service.media.layout import large_path, thumbnail_path
from service.photos import derive
from tests.fakes import answers
from tests.fakes.passing import passing
from tests.fakes.pictures import png_of
from tests.fakes.retrieval_harness import RetrievalHarness, retrieval_harness


@pytest.fixture
async def harness(database: Database, tmp_path: Path) -> AsyncIterator[RetrievalHarness]:
    async with retrieval_harness(database, tmp_path, timeout=10) as made:
        yield made


def add_image(harness: RetrievalHarness, width: int = 500, height: int = 400, *, shade: int = 128) -> Image:
    content = png_of(width, height, shade=shade)
    return harness.server.images.add(content, content)


async def bring_home(harness: RetrievalHarness, count: int, *size: int) -> list[UUID]:
    """So many photos of that size, the oldest first."""
    now = datetime.now(UTC)
    photos = [
        await harness.photo(add_image(harness, *size, shade=number), created_at=now + timedelta(seconds=number))
        for number in range(count)
    ]
    if harness.task is None:
        harness.start()
    harness.retrieval.wake()
    for photo in photos:
        await harness.until_status(photo, "completed", seconds=60)
    return photos


async def large_file(harness: RetrievalHarness, photo: UUID) -> Path:
    return harness.storage.path(large_path((await harness.row(photo))["local_storage_path"]))


async def test_what_has_come_home_has_its_size_and_waits_for_its_large_rendition(harness: RetrievalHarness) -> None:
    (large,) = await bring_home(harness, 1)
    (small,) = await bring_home(harness, 1, 200, 100)
    row = await harness.row(large)
    assert (row["thumbnail_width"], row["thumbnail_height"]) == (360, 288)
    assert (row["large_bytes"], row["rendition_version"]) == (None, 0)
    row = await harness.row(small)
    assert (row["thumbnail_width"], row["thumbnail_height"], row["large_bytes"]) == (200, 100, 0)


async def test_arrivals_get_theirs_once_nothing_is_fetched_the_newest_first(harness: RetrievalHarness) -> None:
    gate = asyncio.Event()
    async with passing(harness, quiet_seconds=3600) as made:
        early = EarlyRenditions(made.renditions, harness.announced, harness.under_way)
        running = asyncio.create_task(early.run())
        slow = add_image(harness, shade=200)
        harness.server.on(f"{slow.image_name}/full", answers.after(gate))
        held = await harness.photo(slow)
        photos = await bring_home(harness, 3)
        await asyncio.sleep(0.3)
        assert [(await harness.row(photo))["large_bytes"] for photo in photos] == [None] * 3, "retrieval goes first"
        gate.set()
        for photo in [*photos, held]:
            row = await harness.until(photo, lambda row: row["large_bytes"] is not None)
            assert (await large_file(harness, photo)).stat().st_size == row["large_bytes"]
        assert "updated" not in harness.announced.about(photos[0]), "its address was known before"
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def test_the_pass_makes_them_and_makes_missing_ones_again_under_another_address(
    harness: RetrievalHarness,
) -> None:
    photos = await bring_home(harness, 3)
    async with passing(harness) as made:
        for photo in photos:
            await harness.until(photo, lambda row: row["large_bytes"] is not None)
        counted = await made.renditions.count_large()
        files = [await large_file(harness, photo) for photo in photos]
        assert counted.photos == 3
        assert counted.bytes == sum(file.stat().st_size for file in files)
        files[1].unlink()
        row = await harness.until(photos[1], lambda row: row["rendition_version"] == 1 and row["large_bytes"])
        assert files[1].stat().st_size == row["large_bytes"]
        assert "updated" in harness.announced.about(photos[1])
        assert (await harness.row(photos[0]))["rendition_version"] == 0


async def test_where_none_are_kept_the_pass_removes_them_and_makes_them_again_when_they_are(
    harness: RetrievalHarness,
) -> None:
    photos = await bring_home(harness, 2)
    async with passing(harness) as made:
        for photo in photos:
            await harness.until(photo, lambda row: row["large_bytes"] is not None)
        files = [await large_file(harness, photo) for photo in photos]
        made.settings.large_renditions = False
        for photo in photos:
            await harness.until(photo, lambda row: row["large_bytes"] is None)
        async with asyncio.timeout(10):
            while any(file.exists() for file in files):
                await asyncio.sleep(0.02)
        for photo in photos:
            assert harness.storage.path((await harness.row(photo))["local_thumbnail_path"]).exists()
        made.settings.large_renditions = True
        for photo in photos:
            await harness.until(photo, lambda row: row["large_bytes"] is not None)
        assert all(file.exists() for file in files)


async def test_the_line_that_the_first_release_made_of_a_strip_is_made_again(harness: RetrievalHarness) -> None:
    strip, plain = *(await bring_home(harness, 1, 4000, 100)), *(await bring_home(harness, 1))
    for photo in (strip, plain):
        await harness.change(photo, "derived = 1, thumbnail_width = NULL, thumbnail_height = NULL")
    before = harness.storage.path(thumbnail_path((await harness.row(plain))["local_storage_path"])).stat().st_mtime_ns
    async with passing(harness, patrol_days=30):
        row = await harness.until(strip, lambda row: row["thumbnail_width"] is not None)
        assert (row["thumbnail_width"], row["thumbnail_height"], row["rendition_version"]) == (360, 75, 1)
        row = await harness.until(
            plain, lambda row: row["derived"] == derive.VERSION and row["large_bytes"] is not None
        )
    assert row["thumbnail_width"] is None, "what the first release made stays valid"
    after = harness.storage.path(row["local_thumbnail_path"]).stat().st_mtime_ns
    assert after == before


async def test_other_bytes_that_come_have_other_renditions(harness: RetrievalHarness) -> None:
    image = add_image(harness)
    photo = await harness.photo(image)
    harness.start()
    await harness.until_status(photo, "completed")
    async with passing(harness):
        await harness.until(photo, lambda row: row["large_bytes"] is not None)
    file = await large_file(harness, photo)
    harness.server.images.path(image.image_name).write_bytes(png_of(800, 400))
    await harness.change(photo, "retrieval_status = 'pending', next_retrieval_attempt = now()")
    harness.retrieval.wake()
    row = await harness.until_status(photo, "completed")
    assert (row["width"], row["height"], row["thumbnail_height"]) == (800, 400, 180)
    assert (row["large_bytes"], row["rendition_version"]) == (None, 1)
    async with asyncio.timeout(10):
        while file.exists():
            await asyncio.sleep(0.01)
