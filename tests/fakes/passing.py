"""The background pass over the photos that retrieval has brought home, and its files."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from service.demo.images import Image
from service.library.photo_pass import PhotoPass
from service.library.renditions import Renditions
from service.library.thumbnails import Thumbnails
from service.media.imaging import Imaging
from service.photos.integrity import Integrity
from service.selection.mover import FileMover
from tests.fakes.pictures import png_of
from tests.fakes.retrieval_harness import RetrievalHarness

A_SECOND = 1 / 86_400
"""As `patrol_days`."""


@dataclass
class Passing:
    harness: RetrievalHarness
    integrity: Integrity
    renditions: Renditions
    photo_pass: PhotoPass
    settings: SimpleNamespace
    """The owner's."""

    async def until_complete(self, seconds: float = 60) -> None:
        """A whole patrol, begun after this call."""
        before = self.photo_pass.report().completed_at
        async with asyncio.timeout(seconds):
            for _ in range(2):
                while (now := self.photo_pass.report().completed_at) == before:
                    await asyncio.sleep(0.02)
                before = now


@asynccontextmanager
async def passing(
    harness: RetrievalHarness, *, patrol_days: float = A_SECOND, quiet_seconds: float = 0
) -> AsyncIterator[Passing]:
    """At work at once, and behind retrieval, as in the service."""
    imaging = Imaging(harness.max_pixels)
    mover = FileMover(harness.database, harness.storage, harness.announced)
    integrity = Integrity(
        harness.database,
        harness.storage,
        harness.announced,  # type: ignore[arg-type]
        mover,
    )
    thumbnails = Thumbnails(harness.announced)
    values = SimpleNamespace(thumbnail_quality=85, large_renditions=True, patrol_days=patrol_days)
    settings: Any = SimpleNamespace(current=values)
    renditions = Renditions(
        harness.database,
        harness.storage,
        imaging,
        integrity,
        thumbnails,
        harness.announced,  # type: ignore[arg-type]
        mover=mover,
        settings=settings,
    )
    photo_pass = PhotoPass(
        harness.database,
        integrity,
        renditions,
        harness.announced,  # type: ignore[arg-type]
        mover=mover,
        settings=settings,
        under_way=harness.under_way,
        quiet_seconds=quiet_seconds,
    )
    made = Passing(harness, integrity, renditions, photo_pass, values)
    running = asyncio.create_task(photo_pass.run(), name="photo pass")
    try:
        yield made
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await renditions.__aexit__()
        await mover.__aexit__()
        imaging.close()


def add_image(harness: RetrievalHarness, shade: int = 128, texts: Mapping[str, Any] | None = None) -> Image:
    """An image of the server's whose file holds these texts."""
    content = png_of(32, 32, shade=shade, texts=texts)
    return harness.server.images.add(content, content)


async def bring_home(harness: RetrievalHarness, count: int) -> dict[UUID, Image]:
    """So many photos, each with its image; retrieval runs from here on."""
    images = [add_image(harness, shade=number % 256) for number in range(count)]
    photos = {await harness.photo(image): image for image in images}
    harness.start()
    for photo in photos:
        await harness.until_status(photo, "completed", seconds=120)
    return photos


async def until_home(harness: RetrievalHarness, photos: Mapping[UUID, Image], seconds: float = 60) -> None:
    """Each of them completed, byte for byte as its server has it."""
    async with asyncio.timeout(seconds):
        for photo, image in photos.items():
            content = harness.original(image)
            while True:
                row = await harness.row(photo)
                path = harness.file(row)
                if row["retrieval_status"] == "completed" and path.exists() and path.read_bytes() == content:
                    break
                await asyncio.sleep(0.02)
            harness.assert_home(row, image)
