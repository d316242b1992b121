"""Makes a photo of an uploaded file, or leaves nothing (whole upload or nothing)."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple
from uuid import UUID, uuid4

import structlog

from service.bus.bus import Bus
from service.config.runtime_settings import RuntimeSettings
from service.database.engine import Database
from service.errors import DatabaseAway, RequestTimeout, TooLarge, Unavailable, UnsupportedMediaType
from service.library.albums import albums_of
from service.media import ingest
from service.media.formats import HEAD, Format, TooManyFrames, UnsupportedFormat, check_structure, identify
from service.media.identity import photo_id
from service.media.imaging import Imaging, Rendered, TooManyPixels, Undecodable
from service.media.ingest import ReceivedFile, StorageTrouble
from service.media.layout import large_path, renditions, thumbnail_path, unrecorded, uploaded_path
from service.media.leftovers import Stray
from service.media.metadata.containers import keep_png_text
from service.media.metadata.read import Found
from service.media.metadata.read import read as read_metadata
from service.media.metadata.texts import Texts
from service.media.png import Damaged
from service.media.sizes import large_size
from service.media.storage import LocalStorage
from service.photos.integrity import Integrity
from service.runtime.waiting import finish_before_cancel
from service.uploads import rows
from service.uploads.body import FilePart, clean_name
from service.uploads.rows import NewPhoto, Same

log = structlog.get_logger()

AT_ONCE: Final = 16
"""Uploads that are received at the same time."""
MOST_WAITING: Final = 256
LONGEST_WAIT: Final = 120.0
LONGEST_BODY: Final = 3600.0
RECORD_SECONDS: Final = 45.0
"""Seconds for which writing the row is retried while the database is away."""
TRY_SECONDS: Final = 20.0
PAUSE_SECONDS: Final = 1.0
BURST_SECONDS: Final = 2.0
BUSY: Final = "too many uploads at once: try again in a moment"


class Accepted(NamedTuple):
    photo_id: UUID
    is_duplicate: bool


class Target(NamedTuple):
    """The id and path of an upload that is under way. Its token is in the names of its temporary files."""

    id: UUID
    created_at: datetime
    path: str
    token: UUID


class Verified(NamedTuple):
    """A whole image in its temporary file."""

    arrived: ReceivedFile
    rendered: Rendered
    found: Found


class Uploads:
    """`under_way` gets the tokens of those that are being received: the sweep leaves alone what has one in its name."""

    def __init__(  # noqa: PLR0913 (what it works with, and bounds)
        self,
        database: Database,
        storage: LocalStorage,
        imaging: Imaging,
        integrity: Integrity,
        bus: Bus,
        *,
        settings: RuntimeSettings,
        max_bytes: int,
        max_frames: int,
        under_way: set[UUID] | None = None,
    ) -> None:
        self.max_bytes = max_bytes
        self.under_way = under_way if under_way is not None else set()
        self._database = database
        self._storage = storage
        self._imaging = imaging
        self._integrity = integrity
        self._bus = bus
        self._settings = settings
        self._max_frames = max_frames
        self._undecided: set[UUID] = set()
        self._last_ended = -math.inf
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0
        self._receiving = 0

    async def take(self, part: FilePart) -> Accepted:
        """Takes an upload. Raises `ApiError` if it becomes no photo; then nothing of it is left."""
        async with self._turn():
            try:
                return await self._take(part)
            except UnsupportedFormat as error:
                raise UnsupportedMediaType(str(error)) from error
            except Damaged as error:
                raise UnsupportedMediaType(f"the file is damaged: {error}") from error
            except Undecodable as error:
                words = "the file is damaged: it cannot be decoded to its end"
                raise UnsupportedMediaType(words, {"decoder": str(error)}) from error
            except (TooManyFrames, TooManyPixels) as error:
                raise TooLarge(f"the picture is too large: {error}") from error
            except ingest.TooLong as error:
                raise part.too_large from error
            except StorageTrouble as error:
                log.warning("upload not kept", reason=str(error))
                raise Unavailable(f"no picture can be kept just now: {error}") from error

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        if self._waiting >= MOST_WAITING:
            raise Unavailable(BUSY)
        self._waiting += 1
        try:
            async with asyncio.timeout(LONGEST_WAIT):
                await self._turns.acquire()
        except TimeoutError:
            raise Unavailable(BUSY) from None
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._turns.release()

    async def _take(self, part: FilePart) -> Accepted:
        deadline = asyncio.get_running_loop().time() + LONGEST_BODY
        try:
            async with asyncio.timeout_at(deadline):
                kind = identify(await part.peek(HEAD))
        except TimeoutError:
            raise RequestTimeout(f"the body took longer than {LONGEST_BODY:g} s") from None
        created_at = datetime.now(UTC)
        identity = photo_id(created_at)
        target = Target(identity, created_at, uploaded_path(created_at, identity, kind.extension), uuid4())
        self.under_way.add(target.token)
        self._receiving += 1
        try:
            try:
                async with asyncio.timeout_at(deadline):
                    arrived = await ingest.receive(part, self._storage, target.path, target.token, self.max_bytes)
            except TimeoutError:
                raise RequestTimeout(f"the body took longer than {LONGEST_BODY:g} s") from None
            known = await self._known(target, arrived)
            if known is not None:
                return Accepted(known, is_duplicate=True)
            verified = await self._verify(target, arrived)
            name = clean_name(part.filename, kind)
            return await self._keep(target, kind, name, verified)
        finally:
            await finish_before_cancel(asyncio.to_thread(self._clean_up, target))
            self.under_way.discard(target.token)
            self._receiving -= 1
            self._last_ended = time.monotonic()

    async def _verify(self, target: Target, arrived: ReceivedFile) -> Verified:
        file = self._storage.temporary(target.path, target.token)
        limits = self._settings.current
        # If several uploads come at once, they go before large renditions, which cost as much as all the rest.
        is_alone = self._receiving == 1 and time.monotonic() - self._last_ended > BURST_SECONDS
        examined = await ingest.examine(
            self._imaging, file, limits.thumbnail_quality, self._check, large=limits.large_renditions and is_alone
        )
        if examined.rendered is None:
            raise examined.reason or Undecodable("it cannot be decoded")
        return Verified(arrived, examined.rendered, examined.checked)

    def _check(self, file: Path) -> Found:
        texts = Texts()
        structure = check_structure(file, self._max_frames, partial(keep_png_text, texts=texts))
        return read_metadata(file, texts if structure.png else None)

    # --- The same bytes are here already ---

    async def _known(self, target: Target, arrived: ReceivedFile) -> UUID | None:
        """The photo that has the same bytes; it is taken out of the trash, and made home again by them if it
        was lost."""
        async with self._database.connection() as connection:
            same = await rows.same_bytes(connection, arrived.sha256)
        if same is None:
            return None
        if same.is_home:
            fault = await self._integrity.check_size(same.path, same.file_size or 0)
            if fault is not None:
                await self._integrity.lost(same.id, same.path, arrived.sha256, fault, next_in_line=False)
            elif await self._is_out_of_trash(same):
                return same.id
            else:
                return None
        await finish_before_cancel(asyncio.to_thread(self._put_back, target, same))
        found = await self._integrity.found_again(same.id, same.path, arrived.sha256)
        if not found or not await self._is_out_of_trash(same):
            raise Unavailable("the photo with these bytes is being fetched just now: try again in a moment")
        return same.id

    async def _is_out_of_trash(self, same: Same) -> bool:
        if same.is_trashed:
            async with self._database.connection() as connection:
                if not await rows.restore(connection, same.id):
                    return False
                self._bus.changed("album.updated", await albums_of(connection, [same.id]))
            self._bus.changed("photo.updated", [same.id])
        return True

    def _put_back(self, target: Target, same: Same) -> None:
        """Puts the file back for a photo that had lost it."""
        with ingest.our_trouble():
            self._storage.check_mounted()
            self._storage.publish(target.path, target.token, same.path)

    # --- A new photo ---

    async def _keep(self, target: Target, kind: Format, name: str, verified: Verified) -> Accepted:
        rendered, arrived = verified.rendered, verified.arrived
        small, large = rendered.small, rendered.large
        if small is None:
            raise Undecodable("it has no rendition")
        files = {thumbnail_path(target.path): small.webp}
        if large is not None:
            files[large_path(target.path)] = large.webp
        photo = NewPhoto(
            id=target.id,
            filename=name,
            file_size=arrived.size,
            mime_type=kind.mime_type,
            created_at=target.created_at,
            path=target.path,
            thumbnail_path=thumbnail_path(target.path),
            sha256=arrived.sha256,
            thumbhash=rendered.thumbhash,
            thumbnail_size=small.size,
            large_bytes=len(large.webp) if large else 0 if large_size(rendered.size) is None else None,
            damaged=rendered.lacks_end,
            size=rendered.size,
            found=verified.found,
        )
        try:
            await finish_before_cancel(asyncio.to_thread(self._publish, target, files))
        except BaseException:
            await finish_before_cancel(asyncio.to_thread(self._withdraw, target))
            raise
        try:
            is_new = await self._record(photo)
        except BaseException:
            # It is unknown whether the row was written: the sweep finds out, and removes the file if it was not.
            self._undecided.add(target.token)
            raise
        if not is_new:
            await asyncio.to_thread(self._withdraw, target)
            return await self._kept_by_another(arrived)
        self._bus.changed("photo.added", [target.id])
        self._bus.changed("photo.ready", [target.id])
        self._bus.came_home(target.id)
        return Accepted(target.id, is_duplicate=False)

    def _publish(self, target: Target, files: dict[str, bytes]) -> None:
        """Gives the files their names. A mark tells the sweep of files whose row was never written."""
        with ingest.our_trouble():
            self._storage.append(unrecorded(target.path), target.token, ())
        ingest.publish(self._storage, target.path, target.token, files)

    async def _record(self, photo: NewPhoto) -> bool:
        """Writes the row. False if another photo has these bytes. Raises `DatabaseAway` if the database stays away."""
        began = time.monotonic()
        while True:
            try:
                return await finish_before_cancel(self._write_row(photo))
            except (DatabaseAway, TimeoutError) as error:
                if time.monotonic() - began > RECORD_SECONDS:
                    raise DatabaseAway from error
            await asyncio.sleep(PAUSE_SECONDS)

    async def _write_row(self, photo: NewPhoto) -> bool:
        async with asyncio.timeout(TRY_SECONDS), self._database.connection() as connection:
            return await rows.insert(connection, photo)

    async def _kept_by_another(self, arrived: ReceivedFile) -> Accepted:
        async with self._database.connection() as connection:
            same = await rows.same_bytes(connection, arrived.sha256)
        if same is None or not same.is_home or not await self._is_out_of_trash(same):
            raise Unavailable("another upload with the same bytes is under way: try again in a moment")
        return Accepted(same.id, is_duplicate=True)

    def _withdraw(self, target: Target) -> None:
        """Removes files that have their names already. The sweep removes those that cannot be removed now."""
        if not self._storage.unlink_all((target.path, *renditions(target.path))):
            self._undecided.add(target.token)

    def _clean_up(self, target: Target) -> None:
        """Removes temporary files, and the mark if nothing is left to find out."""
        mark = unrecorded(target.path)
        is_undecided = target.token in self._undecided
        self._undecided.discard(target.token)
        try:
            ingest.remove(self._storage, target.path, target.token)
            if not is_undecided:
                self._storage.discard(mark, target.token)
        except OSError as error:
            # Later sweeps remove it; the outcome matters more.
            log.warning("temporary file not removed", photo=str(target.id), reason=str(error))
        finally:
            if is_undecided:
                self._storage.leftovers.add(Stray(self._storage.temporary(mark, target.token), target.token))
