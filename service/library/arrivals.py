"""Large renditions of what has just come home, made whenever nothing is being fetched."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final
from uuid import UUID

import structlog

from service.errors import DataFolderAway
from service.library.integrity import LostFile
from service.library.renditions import Renditions

log = structlog.get_logger()

MOST: Final = 1000
LOOK_AGAIN: Final = 0.1


class Arrivals:
    """In memory, and bounded: what is dropped, or lost with the process, is made when it is asked for, or by the
    background pass. `busy` tells whether photos are being fetched just now, which goes before."""

    def __init__(self, renditions: Renditions, *, busy: Callable[[], bool]) -> None:
        self._renditions = renditions
        self._busy = busy
        self._waiting: deque[UUID] = deque(maxlen=MOST)
        self._arrived = asyncio.Event()

    def add(self, photo_id: UUID) -> None:
        self._waiting.append(photo_id)
        self._arrived.set()

    async def run(self) -> None:
        """Runs until cancelled (for the supervisor)."""
        while True:
            await self._arrived.wait()
            while self._busy():  # noqa: ASYNC110 - it ends within moments, and much may change meanwhile
                await asyncio.sleep(LOOK_AGAIN)
            if not self._waiting:
                self._arrived.clear()
                continue
            await self._make(self._waiting.pop())

    async def _make(self, photo_id: UUID) -> None:
        """A photo whose original is lost is only logged here: the next reader of the file reports it."""
        if not self._renditions.keeps_large():
            return
        original = await self._renditions.lacks_large(photo_id)
        if original is None:
            return
        try:
            await self._renditions.make(original, large=True)
        except (LostFile, DataFolderAway) as error:
            log.info("large rendition not made", photo=str(photo_id), reason=str(error))
