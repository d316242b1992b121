"""Makes renditions of originals, small and large (whole upload or nothing).

A small one is made again if its file is missing; a large one when it is asked for, when its photo has just come home,
or in the background pass.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Final, Self
from uuid import UUID, uuid4

import msgspec
import structlog

from service.bus.bus import Bus
from service.bus.live_state import Resource
from service.config.runtime_settings import RuntimeSettings
from service.database.engine import Database
from service.database.models import HAS_LARGE, LACKS_LARGE
from service.library.thumbnails import Thumbnails
from service.media.imaging import Imaging, Rendered, TooManyPixels, Undecodable
from service.media.layout import completed_path, is_selected_path, large_path
from service.media.storage import LocalStorage
from service.photos.integrity import Integrity, LostFile
from service.runtime.waiting import finish_before_cancel
from service.selection.mover import FileMover

log = structlog.get_logger()

AT_ONCE: Final = 2
"""Images decoded at the same time. Retrieval needs the threads too."""
COUNT_EVERY: Final = 10.0

ORIGINAL: Final = "id, local_storage_path AS path, local_thumbnail_path AS thumbnail, file_size, sha256"
LACKING: Final = f"SELECT {ORIGINAL} FROM photos WHERE {LACKS_LARGE} AND id < $1 ORDER BY id DESC LIMIT $2"
LACKING_ONE: Final = f"SELECT {ORIGINAL} FROM photos WHERE {LACKS_LARGE} AND id = $1"
# Nothing is recorded if the photo is no longer the one that was read.
RECORD: Final = """
    WITH before AS (
        SELECT id, large_bytes, rendition_version FROM photos
         WHERE id = $1 AND local_storage_path = $2 AND sha256 = $3 AND purged_at IS NULL FOR NO KEY UPDATE
    )
    UPDATE photos SET thumbnail_width = coalesce($4, thumbnail_width),
           thumbnail_height = coalesce($5, thumbnail_height), thumbhash = coalesce($6, thumbhash),
           large_bytes = coalesce($7, photos.large_bytes),
           rendition_version = photos.rendition_version
               + CASE WHEN $4::int IS NOT NULL OR ($7::int IS NOT NULL AND before.large_bytes > 0) THEN 1 ELSE 0 END
      FROM before WHERE photos.id = before.id
    RETURNING photos.rendition_version > before.rendition_version
"""
SAME: Final = f"SELECT {ORIGINAL} FROM photos WHERE id = $1 AND sha256 = $2 AND purged_at IS NULL"
FORGET_LARGE: Final = f"""
    UPDATE photos SET large_bytes = NULL, rendition_version = rendition_version + 1
      FROM unnest($1::uuid[], $2::text[]) AS looked_at (id, path)
     WHERE photos.id = looked_at.id AND local_storage_path = looked_at.path AND {HAS_LARGE} RETURNING photos.id
"""
DISCARD: Final = f"""
    UPDATE photos SET large_bytes = NULL
     WHERE id IN (SELECT id FROM photos WHERE {HAS_LARGE} ORDER BY id DESC LIMIT $1 FOR NO KEY UPDATE)
    RETURNING id, local_storage_path,
              (SELECT t.selected_at FROM step_alternatives a JOIN generation_steps t ON t.id = a.step_id
                WHERE a.photo_id = photos.id AND t.selected_image_id = photos.id) AS selected_at
"""
COUNT: Final = f"""
    SELECT (SELECT count(*) FROM photos WHERE {HAS_LARGE}) AS photos,
           (SELECT coalesce(sum(large_bytes), 0)::bigint FROM photos WHERE {HAS_LARGE}) AS bytes,
           (SELECT count(*) FROM photos WHERE {LACKS_LARGE}) AS missing
"""


class Original(msgspec.Struct, frozen=True):
    """The columns of a photo that is home that renditions need."""

    id: UUID
    path: str
    thumbnail: str | None
    file_size: int
    sha256: str


class LargeRenditions(Resource, frozen=True, kw_only=True):
    """The large renditions on disk."""

    photos: int
    bytes: int
    missing: int
    """Photos without one so far. Some of these need none, which only decoding tells."""


@dataclass
class _Job:
    task: asyncio.Task[Rendered | None] = field(init=False)
    waiting: int = 0
    begun: bool = False


class Renditions:
    """Makes renditions. If the owner switched large renditions off, they are made for each request, and kept only in
    memory."""

    def __init__(
        self,
        database: Database,
        storage: LocalStorage,
        imaging: Imaging,
        integrity: Integrity,
        thumbnails: Thumbnails,
        bus: Bus,
        *,
        mover: FileMover,
        settings: RuntimeSettings,
    ) -> None:
        self._database = database
        self._storage = storage
        self._imaging = imaging
        self._integrity = integrity
        self._thumbnails = thumbnails
        self._bus = bus
        self._mover = mover
        self._settings = settings
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._jobs: dict[tuple[UUID, str, bool, bool], _Job] = {}
        self._counted = LargeRenditions(photos=0, bytes=0, missing=0)
        self._counted_at: float | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Makes nothing more. A rendition that is being written is finished."""
        tasks = [job.task for job in self._jobs.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def keeps_large(self) -> bool:
        return self._settings.current.large_renditions

    # --- Making ---

    async def make(self, original: Original, *, small: bool = False, large: bool = False) -> Rendered | None:
        """Makes renditions from one decode, for all who ask at once. None if the photo cannot be decoded. Raises
        `LostFile` if the original is wrong, and `DataFolderAway`. A rendition that nobody waits for any more before it
        has begun is not made."""
        key = (original.id, original.sha256, small, large)
        job = self._jobs.get(key)
        if job is None:
            job = self._jobs[key] = _Job()
            job.task = asyncio.create_task(self._make(job, original, small, large), name=f"renditions {original.id}")
            job.task.add_done_callback(lambda task: self._ended(key, task))
        job.waiting += 1
        try:
            return await asyncio.shield(job.task)
        finally:
            job.waiting -= 1
            if not job.waiting and not job.begun:
                job.task.cancel()
                self._jobs.pop(key, None)

    def _ended(self, key: tuple[UUID, str, bool, bool], task: asyncio.Task[Rendered | None]) -> None:
        if (job := self._jobs.get(key)) is not None and job.task is task:
            del self._jobs[key]
        if not task.cancelled():
            task.exception()  # those who still wait get the error

    async def _make(self, job: _Job, original: Original, small: bool, large: bool) -> Rendered | None:
        async with self._turns:
            job.begun = True
            try:
                return await self._make_of(original, small, large)
            except LostFile:
                moved = await self._same(original)
                if moved is None or moved.path == original.path:
                    raise
            return await self._make_of(moved, small, large)

    async def _make_of(self, original: Original, small: bool, large: bool) -> Rendered | None:
        if fault := await self._integrity.check_size(original.path, original.file_size):
            raise LostFile(fault)
        try:
            file = self._storage.path(original.path)
            quality = self._settings.current.thumbnail_quality
            made = await self._imaging.run(self._imaging.render, file, quality, small=small, large=large)
        except (Undecodable, TooManyPixels) as error:
            if fault := (await self._integrity.check(original.path, original.file_size, original.sha256)).fault:
                raise LostFile(fault) from error
            await self._record(original, None, 0)
            return None
        await finish_before_cancel(self._keep(original, made, large))
        return made

    async def _keep(self, original: Original, made: Rendered, large: bool) -> None:
        """Writes the renditions. A full disk keeps them from being stored, not from being shown."""
        keeps_large = made.large is not None and self.keeps_large
        large_bytes = None
        if large and (made.large is None or keeps_large):
            large_bytes = len(made.large.webp) if made.large else 0
        # Files written beside a photo that was moved would stay there.
        async with self._mover.holding(original.id):
            now = await self._same(original)
            if now is None:
                return
            written = {}
            if made.small is not None and now.thumbnail is not None:
                written[now.thumbnail] = made.small.webp
            if made.large is not None and keeps_large:
                written[large_path(now.path)] = made.large.webp
            try:
                await asyncio.to_thread(self._write, written)
            except OSError as error:
                log.warning("rendition not kept", photo=str(original.id), reason=error.strerror or str(error))
                return
            if not await self._record(now, made, large_bytes):
                await asyncio.to_thread(self._storage.unlink_all, written)
        if is_selected_path(now.path):
            self._mover.start(original.id)

    def _write(self, files: dict[str, bytes]) -> None:
        self._storage.check_mounted()
        self._storage.check_room()
        for path, content in files.items():
            self._storage.replace(path, content, uuid4())

    async def _same(self, original: Original) -> Original | None:
        """The photo at its present path (a selection moves it); None if it is no longer the one that was read."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(SAME, original.id, original.sha256)
        return Original(**row) if row is not None else None

    async def _record(self, original: Original, made: Rendered | None, large_bytes: int | None) -> bool:
        """Records the renditions. False if the photo was purged, moved or fetched again: then nothing is recorded."""
        small = made.small if made else None
        width, height = small.size if small else (None, None)
        thumbhash = made.thumbhash if made else None
        if small is None and large_bytes is None:
            return True
        async with self._database.connection() as connection:
            changed: bool | None = await connection.fetchval(
                RECORD, original.id, original.path, original.sha256, width, height, thumbhash, large_bytes
            )
        self._thumbnails.drop([original.id])
        if changed:
            self._bus.changed("photo.updated", [original.id])
        return changed is not None

    # --- Large renditions on disk ---

    async def lacking(self, behind: UUID, at_most: int) -> list[Original]:
        """Photos without a large rendition, the newest first."""
        async with self._database.connection() as connection:
            return [Original(**row) for row in await connection.fetch(LACKING, behind, at_most)]

    async def lacks_large(self, photo_id: UUID) -> Original | None:
        """The photo, if it is home and has none yet."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(LACKING_ONE, photo_id)
        return Original(**row) if row is not None else None

    async def forget_large(self, photos: dict[UUID, str]) -> None:
        """Records that the large files at these paths are missing or cut, for photos that are still there."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(FORGET_LARGE, list(photos), list(photos.values()))
        forgotten = [row["id"] for row in rows]
        self._thumbnails.drop(forgotten)
        self._bus.changed("photo.updated", forgotten)

    async def discard_large(self, at_most: int) -> int:
        """Removes some large renditions from the disk, and returns how many. Files that a kill leaves are overwritten
        when they are made again, and removed when the photo is purged."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(DISCARD, at_most)
        self._thumbnails.drop(row["id"] for row in rows)
        paths = [row["local_storage_path"] for row in rows if row["local_storage_path"]]
        paths += [completed_path(row["selected_at"], row["id"]) for row in rows if row["selected_at"]]
        await asyncio.to_thread(self._storage.unlink_all, [large_path(path) for path in paths])
        return len(rows)

    async def count_large(self) -> LargeRenditions:
        """The counts, at most some seconds old."""
        if self._counted_at is None or time.monotonic() - self._counted_at > COUNT_EVERY:
            async with self._database.connection() as connection:
                (row,) = await connection.fetch(COUNT)
            self._counted, self._counted_at = LargeRenditions(**row), time.monotonic()
        return self._counted
