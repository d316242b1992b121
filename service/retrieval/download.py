"""Downloads one image from InvokeAI into a temporary file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

from service.invokeai.files import RemoteFile
from service.media import ingest, png
from service.media.ingest import NoRoom, ReceivedFile, StorageTrouble, TooLong
from service.media.storage import LocalStorage

PIXEL_BYTES = 8
"""Bytes of a pixel, at most: PNG's four channels of 16 bits."""
BESIDE_PIXELS = 64 * 1024 * 1024
"""Bytes that a file may have besides its pixels, for metadata and other content. A disk that is full after fewer bytes
was full without this file."""


class TooLongForDisk(png.Damaged):
    """The file filled the disk before its end came: that is the file's own fault."""


class LargerThanRoom(StorageTrouble):
    """The file is announced with more bytes than there is room for; others may fit."""


def largest(pixels: int, max_pixels: int) -> int:
    """More bytes than any image of so many pixels has; a server that sends more sends something else,
    without end perhaps."""
    return max(0, min(pixels, max_pixels)) * PIXEL_BYTES + BESIDE_PIXELS


async def save(remote: RemoteFile, storage: LocalStorage, path: str, token: UUID, at_most: int) -> ReceivedFile:
    """Streams into the temporary file of `path`. Raises InvokeError, `png.Damaged` (wrong length, more bytes than
    `at_most`, or than there is room for), `StorageTrouble`."""
    length = remote.content_length
    if length is not None and length > at_most:
        raise png.Damaged(f"{length} bytes are to come, which no image of this size has")
    room = await _room(storage) if length is None or length > BESIDE_PIXELS else None
    if room is not None and length is not None and length > room:
        raise LargerThanRoom(f"the data folder: there is no room for its {length // 2**20} MB")
    came = 0

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal came
        async for piece in remote.iter():
            came += len(piece)
            yield piece

    most = at_most if room is None else min(at_most, max(room, BESIDE_PIXELS))
    try:
        arrived = await ingest.receive(pieces(), storage, path, token, most)
    except TooLong as error:
        if most < at_most:
            raise TooLongForDisk(f"{error}, which are all that there was room for") from error
        raise png.Damaged(f"{error}, which no image of this size has") from error
    except NoRoom as error:
        if came > BESIDE_PIXELS:
            raise TooLongForDisk(f"the disk had no room for more than {came} bytes of it") from error
        raise
    if length not in (None, arrived.size):
        raise png.Damaged(f"{arrived.size} bytes came of {length}")
    return arrived


async def _room(storage: LocalStorage) -> int | None:
    """The room on the disk; None if there is none, which `receive` will report."""
    with ingest.our_trouble():
        room = await asyncio.to_thread(storage.room)
    return room if room > 0 else None
