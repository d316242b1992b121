"""Finds a rendition for a request: in memory, on the disk, or made from its original."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import Final, Self
from uuid import UUID

from service.database.engine import Database
from service.errors import DataFolderAway, NotFound
from service.library import files
from service.library.renditions import Original, Renditions
from service.library.thumbnails import Place, RenditionSize, Thumbnail, Thumbnails
from service.library.together import Together
from service.media import regular
from service.media.layout import large_path
from service.media.sizes import Size, large_size
from service.media.storage import LocalStorage
from service.photos.integrity import WEBP_HEADER, Integrity, LostFile, is_whole_webp
from service.photos.photo_file import PhotoFile, no_such_photo, photo_file, photo_files

RENDITION_TIMEOUT: Final = 10.0
"""Seconds for which a request waits for a rendition that is being made."""
READERS: Final = 4
READ: Final = os.O_RDONLY | regular.SAFELY
PIECE: Final = 64 * 1024
"""Bytes of one read: more than a small rendition has. Allocating more takes longer than reading."""


class NotYet(Exception):
    """The photo waits for retrieval, or its rendition for its turn."""

    def __init__(self, photo: PhotoFile) -> None:
        super().__init__()
        self.photo = photo


class ThumbnailSource:
    """Finds renditions. Its own threads read files, so that a sleeping disk keeps nothing else waiting."""

    def __init__(
        self,
        database: Database,
        storage: LocalStorage,
        thumbnails: Thumbnails,
        integrity: Integrity,
        renditions: Renditions,
    ) -> None:
        self._database = database
        self._thumbnails = thumbnails
        self._integrity = integrity
        self._renditions = renditions
        self._rows = Together(self._read_rows)
        self._readers = FileReaders(storage)
        self._files = Together(self._readers.read)
        self.kept = thumbnails.get
        """The rendition in memory, or None."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._rows.close()
        await self._files.close()
        self._readers.close()

    async def find(self, photo_id: UUID, size: RenditionSize) -> Thumbnail:
        """The rendition. For a photo without a large one, the small one is its largest. Raises NotFound, `NotYet` and
        `DataFolderAway`."""
        for _ in range(2):  # once more if the original is whole after all
            try:
                return await self._find(photo_id, size)
            except LostFile:
                photo = await photo_file(self._database, photo_id)
                if photo.retrieval_status != "completed":
                    break
        files.require_retrievable(photo)
        raise NotYet(photo)

    async def _find(self, photo_id: UUID, size: RenditionSize) -> Thumbnail:
        """As `find`. Raises `LostFile` too, after it was reported."""
        drops = self._thumbnails.drops
        place = self._thumbnails.place(photo_id)
        path = None if place is None else _path(place, size)
        if path is not None and (found := await self._files.get(path)) is not None:
            return self._thumbnails.put(photo_id, size, found, drops=drops)
        for _ in range(files.TRIES):  # again if its name has just gone: a selection moves files (safe selection)
            drops = self._thumbnails.drops
            photo = await self._rows.get(photo_id)
            files.require_retrievable(photo)
            if photo.retrieval_status != "completed":
                raise NotYet(photo)
            if photo.local_thumbnail_path is None:
                raise _no_thumbnail()
            place = Place(photo.local_storage_path or "", photo.local_thumbnail_path, bool(photo.large_bytes))
            self._thumbnails.learn(photo_id, place, drops=drops)
            path = _path(place, size)
            if path is None:
                break
            if (found := await self._files.get(path)) is not None:
                return self._thumbnails.put(photo_id, size, found, drops=drops)
        if size == "large" and not _has_large(photo):
            return self.kept(photo_id, "small") or await self.find(photo_id, "small")
        try:
            return await self._make(photo, size)
        except LostFile as lost:
            await files.lost(self._database, self._integrity, photo, lost)
            raise

    async def _make(self, photo: PhotoFile, size: RenditionSize) -> Thumbnail:
        original = Original(
            photo.id,
            photo.local_storage_path or "",
            photo.local_thumbnail_path,
            photo.file_size or 0,
            photo.sha256 or "",
        )
        try:
            async with asyncio.timeout(RENDITION_TIMEOUT):
                made = await self._renditions.make(original, small=size == "small", large=size == "large")
        except TimeoutError:
            raise NotYet(photo) from None
        drops = self._thumbnails.drops
        await photo_file(self._database, photo.id)  # it may have been purged
        rendition = made and (made.small if size == "small" else made.large)
        if rendition is not None:
            return self._thumbnails.put(photo.id, size, Thumbnail.of(rendition.webp), drops=drops)
        if size == "large":
            return await self.find(photo.id, "small")
        raise _no_thumbnail()

    async def _read_rows(self, photo_ids: Sequence[UUID]) -> list[PhotoFile | Exception]:
        async with self._database.connection() as connection:
            found = await photo_files(connection, set(photo_ids))
        return [found.get(photo_id) or no_such_photo() for photo_id in photo_ids]


def _path(place: Place, size: RenditionSize) -> str | None:
    if size == "small":
        return place.thumbnail
    return large_path(place.original) if place.has_large else None


class FileReaders:
    """A few threads that read renditions. For files this small an executor costs as much as the reading."""

    def __init__(self, storage: LocalStorage) -> None:
        self._storage = storage
        self._work: SimpleQueue[tuple[asyncio.Future[list[Thumbnail | Exception | None]], Sequence[str]] | None] = (
            SimpleQueue()
        )
        for number in range(READERS):
            Thread(target=self._run, name=f"thumbnails {number}", daemon=True).start()

    def close(self) -> None:
        """The threads end after the reads that were asked for. Nobody waits for a disk that does not answer."""
        for _ in range(READERS):
            self._work.put(None)

    def read(self, paths: Sequence[str]) -> asyncio.Future[list[Thumbnail | Exception | None]]:
        """The content of each path: None if it is missing, or not whole."""
        read: asyncio.Future[list[Thumbnail | Exception | None]] = asyncio.get_running_loop().create_future()
        self._work.put((read, paths))
        return read

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            read, paths = work
            found = [_read_whole(self._storage, path) for path in paths]
            with suppress(RuntimeError):  # the loop was closed in between
                read.get_loop().call_soon_threadsafe(_settle, read, found)


def _settle(
    read: asyncio.Future[list[Thumbnail | Exception | None]], found: list[Thumbnail | Exception | None]
) -> None:
    if not read.done():
        read.set_result(found)


def _read_whole(storage: LocalStorage, path: str) -> Thumbnail | Exception | None:
    """Reads with as few system calls as possible."""
    try:
        descriptor = os.open(storage.name(path), READ)
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                return None
            content = piece = os.read(descriptor, PIECE)
            while len(piece) == PIECE:
                piece = os.read(descriptor, PIECE)
                content += piece
        finally:
            os.close(descriptor)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError as error:
        return error
    except OSError as error:
        if error.errno in regular.NOT_REGULAR:
            return None
        return DataFolderAway(f"the thumbnail cannot be read: {error.strerror or error}")
    # Each file is written once, under a name of its own, and then renamed: its time tells it from another.
    return (
        Thumbnail(content, f'"{found.st_mtime_ns:x}-{len(content):x}"')
        if is_whole_webp(content[:WEBP_HEADER], len(content))
        else None
    )


def _has_large(photo: PhotoFile) -> bool:
    return photo.large_bytes != 0 and large_size(Size(photo.width, photo.height)) is not None


def _no_thumbnail() -> NotFound:
    return NotFound("this photo has no thumbnail", {"reason": "no_thumbnail"})
