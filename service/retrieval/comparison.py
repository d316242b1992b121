"""Checks whether files of a server come whole at present: an image that is home is fetched again and compared."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable
from uuid import UUID

import msgspec

from service.errors import InvokeConflict, InvokeError, InvokeNotFound
from service.invokeai.client import InvokeClient
from service.retrieval.evidence import Evidence, Recorded
from service.retrieval.queue import Claimed

MOST_ASKED = 8
"""Images that are tried until one exists: the owner may have deleted in InvokeAI what is home."""
LONGEST_DOWNLOAD = 300.0


class _Result(msgspec.Struct, frozen=True):
    began: float
    whole: bool | None


class FileComparison:
    """One download at a time for each server; photos that failed before it began share its result."""

    def __init__(self, evidence: Evidence, clock: Callable[[], float] = time.monotonic) -> None:
        self._evidence = evidence
        self._clock = clock
        self._locks: dict[UUID, asyncio.Lock] = {}
        self._last: dict[UUID, _Result] = {}

    async def files_arrive_whole(self, claimed: Claimed, client: InvokeClient) -> bool | None:
        """True if another image came byte for byte as before, False if it did not, None if there is none to compare
        with."""
        failed_at = self._clock()
        async with self._locks.setdefault(claimed.backend_id, asyncio.Lock()):
            last = self._last.get(claimed.backend_id)
            if last is not None and last.began >= failed_at:
                return last.whole
            began = self._clock()
            whole = await self._compare(claimed, client)
            self._last[claimed.backend_id] = _Result(began, whole)
            return whole

    async def _compare(self, claimed: Claimed, client: InvokeClient) -> bool | None:
        sample = [image for image in await self._evidence.sample(claimed.backend_id, claimed.id) if image.sha256]
        # Of about the same size: a path that lets only small files pass fails with the large ones.
        sample.sort(key=lambda image: abs(image.pixels - claimed.pixels))
        for image in sample[:MOST_ASKED]:
            try:
                async with asyncio.timeout(LONGEST_DOWNLOAD):
                    return await _is_same(image, client)
            except InvokeConflict:
                return None
            except InvokeNotFound:
                if await _is_recorded(image, client):
                    return False
            except (InvokeError, TimeoutError):
                return False
        return None


async def _is_same(image: Recorded, client: InvokeClient) -> bool:
    checksum, size = hashlib.sha256(), 0
    async with client.open_file(image.image_name) as remote:
        async for piece in remote.iter():
            checksum.update(piece)
            size += len(piece)
            if image.file_size is not None and size > image.file_size:
                return False
    return checksum.hexdigest() == image.sha256


async def _is_recorded(image: Recorded, client: InvokeClient) -> bool:
    try:
        await client.image(image.image_name)
    except InvokeNotFound:
        return False
    except InvokeError:
        return True
    return True
