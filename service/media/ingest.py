"""How a file comes into the library, by retrieval or upload (whole upload or nothing).

It is streamed to a temporary file and hashed, checked and decoded whole, then given its name, durably.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
from collections.abc import AsyncIterable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar
from uuid import UUID

from service.media.imaging import Imaging, Rendered, TooManyPixels, Undecodable
from service.media.layout import thumbnail_path
from service.media.storage import LocalStorage
from service.runtime.waiting import finish_before_cancel

T = TypeVar("T")

WRITE_BYTES = 4 * 1024 * 1024
"""Bytes of each file that are collected in memory before they are written and hashed: most images are written whole. In
pieces of 1 MB an image costs a tenth more CPU (bench.retrieval)."""
WRITE_PIECES = 4096
"""Pieces that are collected, at most, even small ones."""
FULL = (errno.ENOSPC, errno.EDQUOT)


class StorageTrouble(Exception):
    """Our own disk fails: full, read-only, gone. That says nothing about the file or its sender."""


class NoRoom(StorageTrouble):
    """There is no room on the disk."""


class TooLong(Exception):
    """The file has more bytes than it may have."""


class ReceivedFile(NamedTuple):
    size: int
    sha256: str


class Examined(NamedTuple, Generic[T]):
    """A whole file: the result of the structure check, and its renditions; or the reason why it cannot be decoded."""

    checked: T
    rendered: Rendered | None
    reason: Undecodable | TooManyPixels | None


async def receive(
    pieces: AsyncIterable[bytes], storage: LocalStorage, path: str, token: UUID, at_most: int
) -> ReceivedFile:
    """Streams into the temporary file of `path`. Raises `TooLong`, `StorageTrouble`, and the errors of `pieces`."""
    checksum = hashlib.sha256()
    size = waiting = 0
    kept: list[bytes] = []
    writing: asyncio.Future[None] | None = None

    def write(content: list[bytes]) -> None:
        storage.check_mounted()
        storage.check_room()
        storage.append(path, token, content)
        for piece in content:
            checksum.update(piece)

    async def flush() -> None:
        nonlocal kept, waiting, writing
        await written()
        writing = asyncio.ensure_future(asyncio.to_thread(write, kept))
        kept, waiting = [], 0

    async def written() -> None:
        if writing is not None:
            with our_trouble():
                await finish_before_cancel(writing)

    try:
        async for piece in pieces:
            kept.append(piece)
            size += len(piece)
            waiting += len(piece)
            if size > at_most:
                raise TooLong(f"more than {at_most} bytes came")
            if waiting >= WRITE_BYTES or len(kept) >= WRITE_PIECES:
                await flush()
        await flush()
        await written()
    finally:
        # A thread that is still writing would make the temporary file again after it was removed.
        if writing is not None and not writing.done():
            await finish_before_cancel(asyncio.wait({writing}))
    return ReceivedFile(size, checksum.hexdigest())


async def examine(
    imaging: Imaging, file: Path, quality: int, check: Callable[[Path], T], *, large: bool = False
) -> Examined[T]:
    """Checks the file and decodes it, in imaging's threads. Raises the errors of `check`, and `StorageTrouble`."""

    def work() -> Examined[T]:
        checked = check(file)
        try:
            return Examined(checked, imaging.render(file, quality, large=large), None)
        except (Undecodable, TooManyPixels) as error:
            return Examined(checked, None, error)

    with our_trouble():
        return await finish_before_cancel(imaging.run(work))


def in_place(storage: LocalStorage, path: str) -> ReceivedFile | None:
    """The file that already has the photo's name (blocks); None if none can be read. Raises `StorageTrouble`."""
    with our_trouble():
        storage.check_mounted()
    try:
        with storage.open(path) as file:
            checksum = hashlib.file_digest(file, "sha256")
            return ReceivedFile(file.tell(), checksum.hexdigest())
    except OSError:
        return None


def publish(
    storage: LocalStorage, path: str, token: UUID, renditions: Mapping[str, bytes], *, in_place: bool = False
) -> None:
    """Gives renditions and photo their names, durably (blocks). The photo may be `in_place`. Raises
    `StorageTrouble`."""
    with our_trouble():
        # A disk that goes away after this takes the temporary file along, which then cannot get its name on another
        # disk.
        storage.check_mounted()
        for name, content in renditions.items():
            storage.replace(name, content, token, sync=False)
        if not in_place:
            storage.publish(path, token, sync=False)
        storage.sync_folders((path, *renditions))


def remove(storage: LocalStorage, path: str, token: UUID) -> None:
    """Removes temporary files of photo and thumbnail, if there are any (blocks)."""
    try:
        storage.discard(path, token)
    finally:
        storage.discard(thumbnail_path(path), token)


@contextmanager
def our_trouble() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        trouble = NoRoom if error.errno in FULL else StorageTrouble
        raise trouble(f"the data folder: {error.strerror or error}") from error
