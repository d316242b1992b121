"""One image from InvokeAI's stream into a temporary file."""

from __future__ import annotations

from uuid import UUID

from service.invokeai.files import RemoteFile
from service.media import ingest, png
from service.media.ingest import Arrived, TooLong
from service.media.storage import LocalStorage

PIXEL_BYTES = 8
"""The largest that PNG has: four channels of 16 bits."""
BESIDE_PIXELS = 64 * 1024 * 1024
"""Bytes that a file may have besides, for metadata and whatever else is kept inside."""


def largest(pixels: int) -> int:
    """Bytes no image of so many pixels has; a server that sends more sends something else, without end perhaps."""
    return pixels * PIXEL_BYTES + BESIDE_PIXELS


async def save(remote: RemoteFile, storage: LocalStorage, path: str, token: UUID, at_most: int) -> Arrived:
    """Streams into the temporary file of `path`. Raises InvokeError, `png.Damaged` (wrong length, or more bytes than
    `at_most`), `StorageTrouble`."""
    try:
        arrived = await ingest.receive(remote.iter(), storage, path, token, at_most)
    except TooLong as error:
        raise png.Damaged(f"{error}, which no image of this size has") from error
    if remote.content_length not in (None, arrived.size):
        raise png.Damaged(f"{arrived.size} bytes came of {remote.content_length}")
    return arrived
