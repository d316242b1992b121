"""One image from InvokeAI's stream into a temporary file, and what that file turns out to be."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from service.invokeai.files import RemoteFile
from service.media import png
from service.media.imaging import Imaging, Rendered, TooManyPixels, Undecodable
from service.media.layout import thumbnail_path
from service.media.storage import LocalStorage
from service.retrieval.faults import StorageTrouble
from service.retrieval.unbroken import unbroken

WRITE_BYTES = 4 * 1024 * 1024
"""Kept in memory of each download before it is written: most images whole."""
PIXEL_BYTES = 8
"""The largest that PNG has: four channels of 16 bits."""
BESIDE_PIXELS = 64 * 1024 * 1024
"""Bytes that a file may have besides, for metadata and whatever else is kept inside."""


class Arrived(NamedTuple):
    size: int
    sha256: str


class Examined(NamedTuple):
    """A whole file; without renditions when it cannot be decoded, for the reason given."""

    png: png.Png
    rendered: Rendered | None
    reason: str | None


def largest(pixels: int) -> int:
    """Bytes no image of so many pixels has; a server that sends more sends something else, without end perhaps."""
    return pixels * PIXEL_BYTES + BESIDE_PIXELS


async def save(remote: RemoteFile, storage: LocalStorage, path: str, token: UUID, at_most: int) -> Arrived:
    """Streams into the temporary file of `path`. Raises InvokeError, `png.Damaged` (wrong length, or more bytes than
    `at_most`), `StorageTrouble`."""
    checksum = hashlib.sha256()
    size = waiting = 0
    pieces: list[bytes] = []

    def write() -> None:
        storage.check_mounted()
        storage.check_room()
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
        if size > at_most:
            raise png.Damaged(f"more than {at_most} bytes came, which no image of this size has")
        if waiting >= WRITE_BYTES:
            await flush()
            waiting = 0
    await flush()
    if remote.content_length not in (None, size):
        raise png.Damaged(f"{size} bytes came of {remote.content_length}")
    return Arrived(size, checksum.hexdigest())


async def examine(imaging: Imaging, file: Path, quality: int) -> Examined:
    """Walks the file's chunks and decodes it, in imaging's threads. Raises `png.Damaged`, `StorageTrouble`."""

    def look() -> Examined:
        walked = png.walk(file)
        try:
            return Examined(walked, imaging.render(file, quality), None)
        except (Undecodable, TooManyPixels) as error:
            return Examined(walked, None, str(error))

    with _our_trouble():
        return await unbroken(imaging.run(look))


async def likeness(imaging: Imaging, file: Path, quality: int) -> Rendered | None:
    """Its small rendition; None when it is no picture."""
    try:
        return await unbroken(imaging.run(imaging.render, file, quality))
    except (Undecodable, TooManyPixels):
        return None


def in_place(storage: LocalStorage, path: str) -> Arrived | None:
    """What has the photo's name already (blocks); None when nothing does that can be read. Raises `StorageTrouble`."""
    with _our_trouble():
        storage.check_mounted()
    try:
        with storage.open(path) as file:
            checksum = hashlib.file_digest(file, "sha256")
            return Arrived(file.tell(), checksum.hexdigest())
    except OSError:
        return None


def publish(
    storage: LocalStorage, path: str, token: UUID, thumbnail: tuple[str, bytes] | None, *, in_place: bool
) -> None:
    """Thumbnail and photo under their names, durably (blocks); the photo may be `in_place`. Raises `StorageTrouble`."""
    with _our_trouble():
        # A disk that goes after this takes the temporary file along, which then cannot get its name elsewhere.
        storage.check_mounted()
        if thumbnail is not None:
            storage.replace(*thumbnail, token)
        if not in_place:
            storage.publish(path, token)


def remove(storage: LocalStorage, path: str, token: UUID) -> None:
    """Temporary files of photo and thumbnail, if there are any (blocks)."""
    try:
        storage.discard(path, token)
    finally:
        storage.discard(thumbnail_path(path), token)


@contextmanager
def _our_trouble() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageTrouble(f"the data folder: {error.strerror or error}") from error
