"""Looks for a batch, or for an uploaded image, at InvokeAI when the answer to the POST is missing."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import timedelta
from http import HTTPStatus

from service.errors import InvokeFailed, InvokeNotFound, InvokeRefused
from service.invokeai.client import InvokeClient
from service.invokeai.events import ImageDTO
from service.steps.batches import Batch

PAGE = 100
CLOCK_MARGIN = timedelta(minutes=1)
"""`Date` has whole seconds, and clocks drift."""
NEWEST = 200
"""Images that are read in any case: the server's clock may have been set since."""
MOST_ITEMS = 20_000
"""Items that are read, newest first; twice what a queue holds at most."""
MOST_IMAGES = 1000
MOST_LISTED = 100_000
"""Images of any kind that are passed over during the search."""
SOURCE_KEY = "darkroom_source"
"""The key of our token in the metadata of uploads, by which they are found (source is a photo)."""
MOST_UPLOADS = 50
PNG_END = b"\0\0\0\0IEND\xae\x42\x60\x82"


async def enqueued_items(client: InvokeClient, batch: Batch, found: int) -> tuple[int, list[int]]:
    """How many items InvokeAI took of a batch of which it has `found`, and their ids, ascending, if they are
    not all."""
    wanted = len(batch.seeds)
    if found == wanted:
        return wanted, []
    item_ids = await _items_of(client, batch.batch_id, found)
    if found < wanted and not await _are_the_first(client, item_ids, batch.seeds):
        return wanted, []  # Items run oldest first (FACTS §3): those in front have left the queue already. All came.
    return found, item_ids


async def _items_of(client: InvokeClient, batch_id: str, count: int) -> list[int]:
    """The ids, ascending, of at most `count` items of a batch posted lately: the queue is looked through from its
    end."""
    ids = (await client.item_ids())[-MOST_ITEMS:]
    found: list[int] = []
    while ids and len(found) < count:
        page, ids = ids[-PAGE:], ids[:-PAGE]
        found += [item.item_id for item in await client.summaries(page) if item.batch_id == batch_id]
    return sorted(found)


async def _are_the_first(client: InvokeClient, item_ids: Sequence[int], seeds: Sequence[int]) -> bool:
    """Whether these items have the batch's first seeds: what a full queue took of it (FACTS §7). An item without a seed
    counts as if it had the right one."""
    for item, seed in zip(await client.items(item_ids), seeds, strict=False):
        found = [field.value for field in item.field_values or () if field.node_path == "seed"]
        if found and found != [seed]:
            return False
    return True


async def has_saved(client: InvokeClient, batch_id: str, width: int, height: int, seconds_ago: float) -> bool:
    """Whether an image of that size made since the batch was posted names it in its metadata: its items may be gone
    from the queue by now, finished and pruned (FACTS §10). The newest thousand of them are looked at."""
    looked_at = 0
    async with aclosing(_gallery_since(client, seconds_ago)) as images:
        async for image in images:
            if (image.width, image.height) != (width, height):
                continue
            if await _names(client, image, "darkroom_batch", batch_id):
                return True
            looked_at += 1
            if looked_at >= MOST_IMAGES:
                break
    return False


async def image_or_none(client: InvokeClient, image_name: str) -> ImageDTO | None:
    """The image as the server has it; None when there is none of that name, or it is another user's, which we must not
    use."""
    try:
        return await client.image(image_name)
    except InvokeNotFound:
        return None
    except InvokeRefused as error:
        if error.status != HTTPStatus.FORBIDDEN:
            raise
        return None


async def uploaded_image(client: InvokeClient, token: str) -> str | None:
    """The name of the image that was uploaded with this token in its metadata; None while there is none, or while its
    file is not whole: a record is there before its file, and stays where the disk was full (FACTS §10)."""
    page = await client.images_page(
        MOST_UPLOADS, 0, is_intermediate=True, categories=["user"], starred_first=False, search_term=token
    )
    for image in page.items:
        if await _names(client, image, SOURCE_KEY, token) and await _is_whole(client, image.image_name):
            return image.image_name
    return None


async def _is_whole(client: InvokeClient, image_name: str) -> bool:
    end = b""
    try:
        async with client.open_file(image_name) as file:
            async for piece in file.iter():
                end = (end + piece)[-len(PNG_END) :]
    except InvokeNotFound:
        return False
    return end == PNG_END


async def _names(client: InvokeClient, image: ImageDTO, key: str, value: str) -> bool:
    try:
        metadata = await client.metadata(image.image_name)
    except (InvokeNotFound, InvokeFailed):
        return False  # deleted just now, or never readable: the others are looked at all the same
    return metadata is not None and metadata.get(key) == value


async def _gallery_since(client: InvokeClient, seconds_ago: float) -> AsyncGenerator[ImageDTO]:
    """Images that queue items saved since then, newest first."""
    offset, earliest = 0, None
    while True:
        page = await client.images_page(
            PAGE, offset, is_intermediate=False, categories=["general"], starred_first=False
        )
        # The times of the images are the server's; its answer has just shown what its clock says now.
        if earliest is None and (now := client.server_time()) is not None:
            earliest = now - timedelta(seconds=seconds_ago) - CLOCK_MARGIN
        for place, image in enumerate(page.items, offset):
            if place >= NEWEST and earliest is not None and image.created_at < earliest:
                return
            if image.session_id is not None:
                yield image
        offset += PAGE
        if offset >= min(page.total, MOST_LISTED):
            return
