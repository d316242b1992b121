"""Traces of a batch at InvokeAI, for when its own answer is missing."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import timedelta

from service.errors import InvokeFailed, InvokeNotFound
from service.invokeai.client import InvokeClient
from service.invokeai.events import ImageDTO

PAGE = 100
CLOCK_MARGIN = timedelta(minutes=1)
"""`Date` has whole seconds, and clocks drift."""
NEWEST = 200
"""Images looked at whatever their times: the server's clock may have been set meanwhile."""
MOST_ITEMS = 20_000
"""Items looked through, newest first; twice what a queue holds at most."""
MOST_IMAGES = 1000


async def items_of(client: InvokeClient, batch_id: str, count: int) -> list[int]:
    """The ids, ascending, of at most `count` items of a batch posted lately: the queue is looked through from its
    end."""
    ids = (await client.item_ids())[-MOST_ITEMS:]
    found: list[int] = []
    while ids and len(found) < count:
        piece, ids = ids[-PAGE:], ids[:-PAGE]
        found += [item.item_id for item in await client.summaries(piece) if item.batch_id == batch_id]
    return sorted(found)


async def are_the_first(client: InvokeClient, item_ids: Sequence[int], seeds: Sequence[int]) -> bool:
    """Whether these items have the batch's first seeds: what a full queue took of it (FACTS §7). One whose seed is not
    told counts as if it had."""
    for item, seed in zip(await client.items(item_ids), seeds, strict=False):
        told = [field.value for field in item.field_values or () if field.node_path == "seed"]
        if told and told != [seed]:
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
            if await _names(client, image, batch_id):
                return True
            looked_at += 1
            if looked_at >= MOST_IMAGES:
                break
    return False


async def _names(client: InvokeClient, image: ImageDTO, batch_id: str) -> bool:
    try:
        metadata = await client.metadata(image.image_name)
    except (InvokeNotFound, InvokeFailed):
        return False  # deleted just now, or unreadable for good: it must not keep the others from being looked at
    return metadata is not None and metadata.get("darkroom_batch") == batch_id


async def _gallery_since(client: InvokeClient, seconds_ago: float) -> AsyncGenerator[ImageDTO]:
    """What queue items saved since then, newest first."""
    offset, earliest = 0, None
    while True:
        page = await client.images_page(
            PAGE, offset, is_intermediate=False, categories=["general"], starred_first=False
        )
        # The images bear the server's times, and its answer has just told the present one.
        if earliest is None and (now := client.server_time()) is not None:
            earliest = now - timedelta(seconds=seconds_ago) - CLOCK_MARGIN
        for place, image in enumerate(page.items, offset):
            if place >= NEWEST and earliest is not None and image.created_at < earliest:
                return
            if image.session_id is not None:
                yield image
        offset += PAGE
        if offset >= page.total:
            return
