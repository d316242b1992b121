"""Makes large renditions of photos that have just come home, while nothing is being fetched."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection
from typing import Final
from uuid import UUID

import structlog

from service.bus.bus import Bus
from service.errors import DataFolderAway
from service.library.renditions import Renditions
from service.photos.integrity import LostFile

log = structlog.get_logger()

MOST: Final = 1000
LOOK_AGAIN: Final = 0.1


class EarlyRenditions:
    """A bounded list in memory. A photo that is dropped from it, or lost with the process, gets its rendition when it
    is asked for, or by the background pass. `under_way` has the tokens of the files that are being received: they go
    first."""

    def __init__(self, renditions: Renditions, bus: Bus, under_way: Collection[UUID]) -> None:
        self._renditions = renditions
        self._under_way = under_way
        self._waiting: deque[UUID] = deque(maxlen=MOST)
        self._has_new = asyncio.Event()
        bus.came_home.listen(self._add)

    def _add(self, photo_id: UUID) -> None:
        self._waiting.append(photo_id)
        self._has_new.set()

    async def run(self) -> None:
        """Runs until cancelled (for the supervisor)."""
        while True:
            await self._has_new.wait()
            while self._under_way:  # noqa: ASYNC110 - it ends within moments
                await asyncio.sleep(LOOK_AGAIN)
            if not self._waiting:
                self._has_new.clear()
                continue
            await self._make(self._waiting.pop())

    async def _make(self, photo_id: UUID) -> None:
        """A photo whose original is lost is only logged here: the next reader of the file reports it."""
        if not self._renditions.keeps_large:
            return
        original = await self._renditions.lacks_large(photo_id)
        if original is None:
            return
        try:
            await self._renditions.make(original, large=True)
        except (LostFile, DataFolderAway) as error:
            log.info("large rendition not made", photo=str(photo_id), reason=str(error))
