"""Pages of a gallery, also where InvokeAI fails for one record of it: then the readable part of a page is found."""

from __future__ import annotations

from service.errors import InvokeFailed, InvokeUnreadable
from service.invokeai.client import InvokeClient
from service.invokeai.events import ImagePage, UnreadableImage

MOST_FAILURES = 40
"""Failed answers in one pass; then InvokeAI's list is given up."""
FAILS_ALWAYS = 12
"""Failed answers before any success: more than halving a page down to one image takes."""


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
