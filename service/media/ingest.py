"""How a file comes into the library, whether it is retrieved or uploaded: streamed into a temporary file and hashed on
the way, checked and decoded whole, then given its name, durably (rules 9 and 12)."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar
from uuid import UUID

from service.media.imaging import Imaging, Rendered, TooManyPixels, Undecodable
from service.media.layout import thumbnail_path
from service.media.storage import LocalStorage
from service.unbroken import unbroken

T = TypeVar("T")

WRITE_BYTES = 4 * 1024 * 1024
"""Kept in memory of each file before it is written and hashed, while as much again comes: most images are written
whole. In pieces of 1 MB an image costs a tenth more CPU (bench.retrieval)."""
WRITE_PIECES = 4096
"""At most, however small they are."""


class StorageTrouble(Exception):
    """Our own disk's trouble: full, read-only, gone. It says nothing of the file or of its sender."""


class TooLong(Exception):
    """More bytes came than the file may have."""


class Arrived(NamedTuple):
    size: int
    sha256: str


class Examined(NamedTuple, Generic[T]):
    """A whole file: what the check of its structure told, and its renditions; without those where it cannot be decoded,
    for the reason given."""

    checked: T
    rendered: Rendered | None
    reason: Undecodable | TooManyPixels | None


async def receive(pieces: AsyncIterable[bytes], storage: LocalStorage, path: str, token: UUID, at_most: int) -> Arrived:
    """Streams into the temporary file of `path`. Raises `TooLong`, `StorageTrouble`, and what `pieces` raises."""
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
                await unbroken(writing)

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
        # A thread that is still at work would bring the temporary file back after it was removed.
        if writing is not None and not writing.done():
            await unbroken(asyncio.wait({writing}))
    return Arrived(size, checksum.hexdigest())


async def examine(
    imaging: Imaging, file: Path, quality: int, check: Callable[[Path], T], *, large: bool = False
) -> Examined[T]:
    """Checks the file and decodes it, in imaging's threads. Raises what `check` raises, and `StorageTrouble`."""

    def work() -> Examined[T]:
        checked = check(file)
        try:
            return Examined(checked, imaging.render(file, quality, large=large), None)
        except (Undecodable, TooManyPixels) as error:
            return Examined(checked, None, error)

    with our_trouble():
        return await unbroken(imaging.run(work))


def in_place(storage: LocalStorage, path: str) -> Arrived | None:
    """What has the photo's name already (blocks); None when nothing does that can be read. Raises `StorageTrouble`."""
    with our_trouble():
        storage.check_mounted()
    try:
        with storage.open(path) as file:
            checksum = hashlib.file_digest(file, "sha256")
            return Arrived(file.tell(), checksum.hexdigest())
    except OSError:
        return None


def publish(
    storage: LocalStorage, path: str, token: UUID, renditions: Mapping[str, bytes], *, in_place: bool = False
) -> None:
    """Renditions and photo under their names, durably (blocks); the photo may be `in_place`.

    Raises `StorageTrouble`.
    """
    with our_trouble():
        # A disk that goes after this takes the temporary file along, which then cannot get its name elsewhere.
        storage.check_mounted()
        for name, content in renditions.items():
            storage.replace(name, content, token)
        if not in_place:
            storage.publish(path, token)


def remove(storage: LocalStorage, path: str, token: UUID) -> None:
    """Temporary files of photo and thumbnail, if there are any (blocks)."""
    try:
        storage.discard(path, token)
    finally:
        storage.discard(thumbnail_path(path), token)


@contextmanager
def our_trouble() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageTrouble(f"the data folder: {error.strerror or error}") from error
