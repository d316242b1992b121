"""How many images of a server are older than its place here: they stay there, to be brought by Import (rule 6)."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from service.database.engine import Database
from service.invokeai.client import InvokeClient
from service.invokeai.events import ImagePage

CATEGORIES = ("general", "mask", "control")
"""What a gallery reading takes: no uploads, and not what the canvas of InvokeAI 7 keeps for itself."""
HERE = """
    SELECT count(*) FROM photos
     WHERE created_at < $2 AND invoke_id IS NOT NULL AND (backend_id = $1 OR backend_id IS NULL)
"""


async def older_images(database: Database, client: InvokeClient, backend_id: UUID, beginning: datetime) -> int:
    """Those from before `beginning`, on the server's clock, that are not here. Raises InvokeError."""
    there = await _older_there(client, beginning)
    if not there:
        return 0
    async with database.connection() as connection:
        here: int = await connection.fetchval(HERE, backend_id, beginning)
    return max(0, there - here)


async def _older_there(client: InvokeClient, beginning: datetime) -> int:
    """Found by halving, with about as many questions as the number has binary digits, of one image each."""
    newest = await _image_at(client, 0)
    if not newest.items:
        return 0
    total = newest.total
    if newest.items[0].created_at < beginning:
        return total
    oldest = await _image_at(client, total - 1)
    if not oldest.items or oldest.items[0].created_at >= beginning:
        return 0
    first, last = 1, total - 1  # the first older one is one of these
    while first < last:
        middle = (first + last) // 2
        page = await _image_at(client, middle)
        if not page.items or page.items[0].created_at < beginning:
            last = middle
        else:
            first = middle + 1
    return total - first


async def _image_at(client: InvokeClient, offset: int) -> ImagePage:
    return await client.images_page(1, offset, is_intermediate=False, categories=CATEGORIES, starred_first=False)
