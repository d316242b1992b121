"""Where a rendition comes from when it is asked for: memory, the disk, or its original."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple, Self
from uuid import UUID

from service.database.engine import Database
from service.errors import DataFolderAway, NotFound
from service.library import files
from service.library.changes import no_such_photo
from service.library.files import Stored
from service.library.integrity import WEBP_HEADER, Integrity, LostFile, is_whole_webp
from service.library.renditions import Original, Renditions
from service.library.thumbnails import RenditionSize, Thumbnail, Thumbnails
from service.media.layout import large_path
from service.media.sizes import Size, large_size
from service.media.storage import LocalStorage
from service.waiting import happened

PATIENCE: Final = 10.0
"""Seconds for which a request waits for a rendition that is being made."""
TOGETHER: Final = 50
"""Files read in one go."""
READERS: Final = 4
SLOW: Final = 0.05
"""Seconds for which further files wait until those before are read."""
LINGER: Final = 0.5


class NotYet(Exception):
    """The photo waits for retrieval, or its rendition for its turn."""

    def __init__(self, photo: Stored) -> None:
        super().__init__()
        self.photo = photo


class _Found(NamedTuple):
    photo: Stored
    content: bytes | None


class _Request(NamedTuple):
    photo_id: UUID
    size: RenditionSize
    found: asyncio.Future[_Found | None]


class ThumbnailSource:
    """Files are read in threads of its own: a disk that sleeps keeps nothing else waiting. What is asked for at the
    same time is read together, by one query and in one thread: a grid asks for dozens, and each alone would cost more
    than its bytes."""

    def __init__(
        self,
        database: Database,
        storage: LocalStorage,
        thumbnails: Thumbnails,
        integrity: Integrity,
        renditions: Renditions,
    ) -> None:
        self._database = database
        self._storage = storage
        self._thumbnails = thumbnails
        self._integrity = integrity
        self._renditions = renditions
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="thumbnails")
        self._wanted: list[_Request] = []
        self._is_wanted = asyncio.Event()
        self._reader: asyncio.Task[None] | None = None
        self._reading: set[asyncio.Task[None]] = set()
        self.kept = thumbnails.get
        """What memory has of a photo, or None."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        tasks = [*self._reading, *([self._reader] if self._reader else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def find(self, photo_id: UUID, size: RenditionSize) -> Thumbnail:
        """Of a photo that has no large rendition, the small one is its largest. Raises NotFound, `NotYet` and
        `DataFolderAway`."""
        for _ in range(2):  # once more when its name has just gone: a selection moves files (docs/files.md)
            drops = self._thumbnails.drops
            photo, content = await self._read(photo_id, size)
            files.require_hope(photo)
            if photo.retrieval_status != "completed":
                raise NotYet(photo)
            if photo.local_thumbnail_path is None:
                raise _no_thumbnail()
            if content is not None:
                return self._thumbnails.put(photo_id, size, content, drops=drops)
            if size == "large" and not photo.large_bytes:
                break
        if size == "large" and not _has_large(photo):
            return self.kept(photo_id, "small") or await self.find(photo_id, "small")
        try:
            return await self._make(photo, size)
        except LostFile as lost:
            raise NotYet(await files.lost(self._database, self._integrity, photo, lost)) from lost

    async def _make(self, photo: Stored, size: RenditionSize) -> Thumbnail:
        original = Original(
            photo.id,
            photo.local_storage_path or "",
            photo.local_thumbnail_path,
            photo.file_size or 0,
            photo.sha256 or "",
        )
        try:
            async with asyncio.timeout(PATIENCE):
                made = await self._renditions.make(original, small=size == "small", large=size == "large")
        except TimeoutError:
            raise NotYet(photo) from None
        drops = self._thumbnails.drops
        await files.stored(self._database, photo.id)  # it may have been purged
        rendition = made and (made.small if size == "small" else made.large)
        if rendition is not None:
            return self._thumbnails.put(photo.id, size, rendition.webp, drops=drops)
        if size == "large":
            return await self.find(photo.id, "small")
        raise _no_thumbnail()

    # --- Reading ---

    async def _read(self, photo_id: UUID, size: RenditionSize) -> _Found:
        """Raises NotFound for a photo that is not there."""
        request = _Request(photo_id, size, asyncio.get_running_loop().create_future())
        self._wanted.append(request)
        self._is_wanted.set()
        if self._reader is None or self._reader.done():
            self._reader = asyncio.create_task(self._read_wanted(), name="thumbnails")
        found = await request.found
        if found is None:
            raise no_such_photo()
        return found

    async def _read_wanted(self) -> None:
        """Until nothing was asked for during some moments. The connection is kept so long: to get one from the pool
        costs more than the query."""
        while self._wanted:
            batch: Sequence[_Request] = ()
            try:
                async with self._database.connection() as connection:
                    while await happened(self._is_wanted, LINGER) and not connection.is_closed():
                        batch, self._wanted = self._wanted[:TOGETHER], self._wanted[TOGETHER:]
                        if not self._wanted:
                            self._is_wanted.clear()
                        photos = await files.all_stored(connection, {request.photo_id for request in batch})
                        await self._read_files(batch, photos)
            except Exception as error:  # noqa: BLE001 - each who asked is told
                _fail([*batch, *self._wanted], error)
                self._wanted = []
                self._is_wanted.clear()

    async def _read_files(self, batch: Sequence[_Request], photos: Mapping[UUID, Stored]) -> None:
        """Waits for them, but not for a disk that is slow, until all threads do."""
        reading = asyncio.create_task(self._answer(batch, photos), name="thumbnail files")
        self._reading.add(reading)
        reading.add_done_callback(self._reading.discard)
        await asyncio.wait({reading}, timeout=SLOW)
        if len(self._reading) >= READERS:
            await asyncio.wait(self._reading, return_when=asyncio.FIRST_COMPLETED)

    async def _answer(self, batch: Sequence[_Request], photos: Mapping[UUID, Stored]) -> None:
        paths = [_path(photos.get(request.photo_id), request.size) for request in batch]
        loop = asyncio.get_running_loop()
        try:
            contents = await loop.run_in_executor(self._threads, _read_files, self._storage, paths)
        except Exception as error:  # noqa: BLE001 - each who asked is told
            _fail(batch, error)
            return
        for request, content in zip(batch, contents, strict=True):
            photo = photos.get(request.photo_id)
            if request.found.done():  # whoever asked has gone
                continue
            if isinstance(content, OSError):
                away = DataFolderAway(f"the thumbnail cannot be read: {content.strerror or content}")
                request.found.set_exception(away)
            else:
                request.found.set_result(_Found(photo, content) if photo is not None else None)


def _fail(requests: Sequence[_Request], error: Exception) -> None:
    for request in requests:
        if not request.found.done():
            request.found.set_exception(error)


def _path(photo: Stored | None, size: RenditionSize) -> str | None:
    """Of the file to read; None where there is none, or no use for it."""
    if photo is None or photo.retrieval_status != "completed" or photo.local_thumbnail_path is None:
        return None
    if size == "small":
        return photo.local_thumbnail_path
    return large_path(photo.local_storage_path) if photo.large_bytes and photo.local_storage_path else None


def _read_files(storage: LocalStorage, paths: Sequence[str | None]) -> list[bytes | OSError | None]:
    """What is whole of them; None for what is missing or cut."""
    return [None if path is None else _read_file(storage, path) for path in paths]


def _read_file(storage: LocalStorage, path: str) -> bytes | OSError | None:
    try:
        content = storage.path(path).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return error
    return content if is_whole_webp(content[:WEBP_HEADER], len(content)) else None


def _has_large(photo: Stored) -> bool:
    return photo.large_bytes != 0 and large_size(Size(photo.width, photo.height)) is not None


def _no_thumbnail() -> NotFound:
    return NotFound("this photo has no thumbnail", {"reason": "no_thumbnail"})
