"""One image from InvokeAI's stream into a temporary file, and what that file turns out to be."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple
from uuid import UUID

from service.invokeai.files import RemoteFile
from service.media import png
from service.media.imaging import Imaging, Thumbnail, TooManyPixels, Undecodable
from service.media.layout import thumbnail_path
from service.media.storage import LocalStorage
from service.retrieval.faults import StorageTrouble
from service.retrieval.unbroken import unbroken

WRITE_BYTES = 4 * 1024 * 1024
"""Kept in memory of each download before it is written: most images whole."""


class Arrived(NamedTuple):
    size: int
    sha256: str


class Examined(NamedTuple):
    """A whole file; without a thumbnail when it cannot be decoded, for the reason given."""

    metadata: str | None
    thumbnail: Thumbnail | None
    reason: str | None


async def save(remote: RemoteFile, storage: LocalStorage, path: str, token: UUID) -> Arrived:
    """Streams into the temporary file of `path`. Raises InvokeError, `png.Damaged` (wrong length), `StorageTrouble`."""
    checksum = hashlib.sha256()
    size = waiting = 0
    pieces: list[bytes] = []

    def write() -> None:
        storage.append(path, token, pieces)
        for piece in pieces:
            checksum.update(piece)

    async def flush() -> None:
        with _our_trouble():
            await unbroken(asyncio.to_thread(write))
        pieces.clear()

    async for piece in remote.iter():
        pieces.append(piece)
        size += len(piece)
        waiting += len(piece)
        if waiting >= WRITE_BYTES:
            await flush()
            waiting = 0
    await flush()
    if remote.content_length not in (None, size):
        raise png.Damaged(f"{size} bytes came of {remote.content_length}")
    return Arrived(size, checksum.hexdigest())


async def examine(imaging: Imaging, storage: LocalStorage, path: str, token: UUID, quality: int) -> Examined:
    """Walks the temporary file's chunks and decodes it, in imaging's threads. Raises `png.Damaged`."""
    temporary = storage.temporary(path, token)

    def look() -> Examined:
        metadata = png.walk(temporary).metadata
        try:
            return Examined(metadata, imaging.thumbnail(temporary, quality), None)
        except (Undecodable, TooManyPixels) as error:
            return Examined(metadata, None, str(error))

    with _our_trouble():
        return await unbroken(imaging.run(look))


async def likeness(imaging: Imaging, storage: LocalStorage, path: str, token: UUID, quality: int) -> Thumbnail | None:
    """A thumbnail of the temporary file; None when it is no picture."""
    try:
        return await unbroken(imaging.run(imaging.thumbnail, storage.temporary(path, token), quality))
    except (Undecodable, TooManyPixels):
        return None


def publish(storage: LocalStorage, path: str, token: UUID, thumbnail: tuple[str, bytes] | None) -> None:
    """Thumbnail and photo under their names, durably (blocks). Raises `StorageTrouble`."""
    with _our_trouble():
        if thumbnail is not None:
            storage.replace(*thumbnail, token)
        storage.publish(path, token)


def remove(storage: LocalStorage, path: str, token: UUID) -> None:
    """Temporary files of photo and thumbnail, if there are any (blocks)."""
    for name in (path, thumbnail_path(path)):
        storage.discard(name, token)


@contextmanager
def _our_trouble() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageTrouble(f"the data folder: {error.strerror or error}") from error
