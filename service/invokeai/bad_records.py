"""Reads the readable part if InvokeAI fails for one record, and tells a bad record from trouble of the server."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import structlog

from service.errors import (
    InvokeAnswered,
    InvokeConflict,
    InvokeFailed,
    InvokeNoSuchRoute,
    InvokeUnauthorized,
    InvokeUnreadable,
)
from service.invokeai.client import InvokeClient
from service.invokeai.events import ImageDTO, ImagePage, UnreadableImage

log = structlog.get_logger()

METADATA_AT_ONCE = 4
MOST_FAILURES = 40
"""Failed answers in one pass; then InvokeAI's list is given up."""
FAILS_ALWAYS = 12
"""Failed answers before any success: more than halving a page down to one image takes."""


async def images_of(client: InvokeClient, names: Sequence[str]) -> list[ImageDTO]:
    """The images that InvokeAI has. A name that it cannot answer for is left out, so that it holds up no other. Raises
    InvokeError."""
    try:
        return await client.images_by_names(names)
    except (InvokeUnauthorized, InvokeConflict):
        raise
    except InvokeAnswered:
        if len(names) == 1:
            raise
    found: list[ImageDTO] = []
    refused: list[InvokeAnswered] = []
    for name in names:
        try:
            found += await client.images_by_names([name])
        except (InvokeUnauthorized, InvokeConflict):
            raise
        except InvokeAnswered as error:
            refused.append(error)
            log.warning("image_not_readable", image_name=name, error=str(error))
    if len(refused) == len(names):
        raise refused[0]  # the server's trouble, not a name's
    return found


async def metadata_of(client: InvokeClient, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Image name → metadata, of those that have some; kept, for retrieval reads them, too. Raises InvokeError."""
    limit = asyncio.Semaphore(METADATA_AT_ONCE)
    failed = 0

    async def read(name: str) -> dict[str, Any] | None:
        nonlocal failed
        try:
            async with limit:
                return await client.metadata(name, keep=True)
        except (InvokeUnauthorized, InvokeConflict):
            raise
        except (InvokeFailed, InvokeNoSuchRoute):
            failed += 1
        except InvokeAnswered:
            pass  # deleted just now, or unreadable for good: one such image must not hold up the others
        return None

    reading = [asyncio.create_task(read(name), name="image metadata") for name in names]
    try:
        metadata = await asyncio.gather(*reading)
    finally:
        for task in reading:
            task.cancel()  # when one failed; nobody waits for the others any more
    if failed and failed == len(names):
        await client.version()  # the images' trouble, unless the server has it too: then nothing was read
    return {name: told for name, told in zip(names, metadata, strict=True) if told}


class GalleryPages:
    """The pages of one pass, newest first, with everything that is not intermediate."""

    def __init__(self, client: InvokeClient) -> None:
        self._client = client
        self.failures = 0
        """Answers that were InvokeAI's own failure."""
        self._answered = False
        self.nameless: list[int] = []
        """Places in the list of what makes InvokeAI fail; in the pages they are unreadable images without a name."""

    async def read(self, offset: int, limit: int) -> ImagePage:
        """A page. Raises InvokeError; InvokeFailed or InvokeUnreadable when InvokeAI fails too often to go on."""
        try:
            page = await self._client.images_page(
                limit, offset, is_intermediate=False, starred_first=False, retry=not self.failures
            )
        except (InvokeFailed, InvokeUnreadable) as error:
            self.failures += 1
            if self.failures >= (MOST_FAILURES if self._answered else FAILS_ALWAYS):
                raise
            if limit == 1:
                self.nameless.append(offset)
                nameless = UnreadableImage("", str(error))
                return ImagePage(items=[], unreadable=[nameless], total=offset + 1, limit=1, offset=offset)
            return await self._halves(offset, limit)
        self._answered = True
        return page

    async def _halves(self, offset: int, limit: int) -> ImagePage:
        first = await self.read(offset, limit // 2)
        second = await self.read(offset + limit // 2, limit - limit // 2)
        return ImagePage(
            items=first.items + second.items,
            unreadable=first.unreadable + second.unreadable,
            total=max(first.total, second.total),
            limit=limit,
            offset=offset,
        )
