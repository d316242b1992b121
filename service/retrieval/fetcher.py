"""Retrieves one claimed photo: download, verify, publish, then the row; or writes why not (retrieval in the table)."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import structlog

from service.bus.bus import Bus
from service.config.runtime_settings import RuntimeSettings
from service.database.engine import Connection, Database
from service.errors import DatabaseAway, InvokeError, InvokeInterrupted
from service.invokeai.client import InvokeClient
from service.media import png
from service.media.formats import UnsupportedFormat, require_kind_of_thumbnails
from service.media.imaging import Imaging, Rendered
from service.media.ingest import ReceivedFile, StorageTrouble, examine, in_place, publish
from service.media.layout import large_path, renditions, thumbnail_path
from service.media.png import Damaged, Png
from service.media.sizes import large_size
from service.media.storage import LocalStorage
from service.photos.derive import NOTHING, Derived, derive
from service.retrieval import queue
from service.retrieval.download import largest, save
from service.retrieval.faults import Absent, Failure, Faults, Postponed, Unproved, Verdict
from service.retrieval.queue import Claimed, Home
from service.runtime.waiting import finish_before_cancel
from service.selection import moves

log = structlog.get_logger()

LONGEST_DOWNLOAD = 900.0
CLIENT_GONE_DELAY = 5.0


@dataclass(frozen=True)
class Fetched:
    """A whole image, in its temporary file or already in its place, and all that is known of it."""

    arrived: ReceivedFile
    in_place: bool
    rendered: Rendered | None
    """Renditions of the image, or of InvokeAI's thumbnail if it cannot be decoded; None if that cannot be decoded
    either."""
    wants_large: bool
    derived: Derived


class Fetcher:
    """Ends every claim that it gets, in one of the ways of queue.py, unless the database itself fails."""

    def __init__(
        self,
        database: Database,
        storage: LocalStorage,
        imaging: Imaging,
        bus: Bus,
        settings: RuntimeSettings,
        faults: Faults,
    ) -> None:
        self._database = database
        self._storage = storage
        self._imaging = imaging
        self._bus = bus
        self._settings = settings
        self._faults = faults

    async def retrieve(self, claimed: Claimed, client: InvokeClient | None) -> None:
        """Retrieves one photo. If it is cancelled before the file is published, it gives the photo back; after that, it
        writes the row first."""
        try:
            verdict = await self._try(claimed, client)
            if isinstance(verdict, Absent | Failure | Unproved) and client is not None:
                verdict = await self._adopt_existing_file(claimed, client, verdict)
            if verdict is not None:
                await finish_before_cancel(self._settle(claimed, verdict))
        except asyncio.CancelledError:
            await finish_before_cancel(self._settle(claimed, Postponed("")))
            raise

    async def _try(self, claimed: Claimed, client: InvokeClient | None) -> Verdict | None:
        """None if the photo is home, or was no longer ours; else the verdict."""
        if client is None:
            return Postponed("the backend is not connected", CLIENT_GONE_DELAY)
        try:
            fetched = await self._fetch(claimed, client)
            await finish_before_cancel(self._finish(claimed, fetched))
        except (InvokeError, Damaged, StorageTrouble, DatabaseAway) as error:
            return await self._faults.judge(claimed, error, client)
        except Exception as error:
            log.exception("retrieval failed unexpectedly", photo=str(claimed.id))
            return Failure(f"{type(error).__name__}: {error}")
        return None

    async def _adopt_existing_file(self, claimed: Claimed, client: InvokeClient, verdict: Verdict) -> Verdict | None:
        """Completes the row from a whole file that an earlier try left in its place: nothing that is here is lost. None
        if the photo is home by that; else the verdict."""
        file = self._storage.path(claimed.path)
        try:
            arrived = await asyncio.to_thread(in_place, self._storage, claimed.path)
            if arrived is None or claimed.sha256 not in (None, arrived.sha256):
                return verdict
            found = await self._described(claimed, client, file, arrived, in_place=True)
            await self._remove_temporary(claimed)
            await finish_before_cancel(self._finish(claimed, found))
        except Damaged as error:
            log.warning("file in place is damaged", photo=str(claimed.id), reason=str(error))
            return verdict
        except (StorageTrouble, DatabaseAway) as error:
            return await self._faults.judge(claimed, error, client)
        except Exception as error:
            log.exception("picture that is here not taken", photo=str(claimed.id))
            return Failure(f"{type(error).__name__}: {error}")
        log.info("picture was here already", photo=str(claimed.id), instead_of=verdict.reason)
        return None

    async def _fetch(self, claimed: Claimed, client: InvokeClient) -> Fetched:
        try:
            async with asyncio.timeout(LONGEST_DOWNLOAD), client.open_file(claimed.image_name) as remote:
                at_most = largest(claimed.pixels, self._imaging.max_pixels)
                arrived = await save(remote, self._storage, claimed.path, claimed.claim, at_most)
        except TimeoutError:
            raise InvokeInterrupted(f"the download took longer than {LONGEST_DOWNLOAD:g} s") from None
        temporary = self._storage.temporary(claimed.path, claimed.claim)
        return await self._described(claimed, client, temporary, arrived, in_place=False)

    async def _described(
        self, claimed: Claimed, client: InvokeClient, file: Path, arrived: ReceivedFile, *, in_place: bool
    ) -> Fetched:
        quality = self._settings.current.thumbnail_quality
        examined = await examine(self._imaging, file, quality, png.walk)
        rendered = examined.rendered
        wants_large = rendered is not None and large_size(rendered.size) is not None
        if rendered is None:
            log.warning("image cannot be decoded", photo=str(claimed.id), reason=str(examined.reason))
            rendered = await self._thumbnail_or_none(claimed, client, quality)
        return Fetched(arrived, in_place, rendered, wants_large, await self._derive(claimed, client, examined.checked))

    async def _thumbnail_or_none(self, claimed: Claimed, client: InvokeClient, quality: int) -> Rendered | None:
        """InvokeAI's thumbnail, for an image that we cannot decode; None if it has none either."""
        path = thumbnail_path(claimed.path)
        try:
            async with asyncio.timeout(client.timeout), client.open_thumbnail(claimed.image_name) as remote:
                await save(remote, self._storage, path, claimed.claim, largest(0, 0))
            file = self._storage.temporary(path, claimed.claim)
            return (await examine(self._imaging, file, quality, require_kind_of_thumbnails)).rendered
        except (InvokeError, Damaged, UnsupportedFormat, TimeoutError) as error:
            log.warning("no thumbnail either", photo=str(claimed.id), reason=str(error))
            return None
        finally:
            await finish_before_cancel(self._discard(path, claimed))

    async def _derive(self, claimed: Claimed, client: InvokeClient, png: Png) -> Derived:
        """Derives the columns, with InvokeAI's present metadata; an image never waits for them."""
        served = None
        if claimed.wants_metadata:
            try:
                served = await client.metadata_text(claimed.image_name)
            except InvokeError as error:
                log.info("metadata taken from the file", photo=str(claimed.id), reason=str(error))
        return await asyncio.to_thread(derive, claimed.image_name, png, served)

    async def _finish(self, claimed: Claimed, fetched: Fetched) -> None:
        small = fetched.rendered.small if fetched.rendered else None
        path = thumbnail_path(claimed.path) if small else None
        made = {path: small.webp} if path and small else {}
        await asyncio.to_thread(publish, self._storage, claimed.path, claimed.claim, made, in_place=fetched.in_place)
        home = Home(
            fetched.arrived.size,
            fetched.arrived.sha256,
            path,
            small.size if small else None,
            fetched.rendered.thumbhash if fetched.rendered else None,
            fetched.wants_large,
        )
        finished, wanted = await self._complete(claimed, home, fetched.derived)
        if not wanted:
            await asyncio.to_thread(self._remove_published, claimed)
        if finished:
            self._faults.succeeded(claimed.backend_id, claimed.id)
            self._bus.changed("photo.ready", [claimed.id])
            self._bus.came_home(claimed.id)
            self._bus.ledger_changed()
            if claimed.sha256 not in (None, home.sha256):
                log.warning("other bytes came than were here before", photo=str(claimed.id), before=claimed.sha256)
                await self._remove_large(claimed)

    async def _complete(self, claimed: Claimed, home: Home, known: Derived) -> tuple[bool, bool]:
        """Writes the row. Returns whether it now says home, and whether the photo is still wanted."""
        async with self._database.connection() as connection:
            try:
                finished = await _write(connection, claimed, home, known)
            except (asyncpg.DataError, asyncpg.ProgramLimitExceededError) as error:
                log.warning("metadata cannot be kept", photo=str(claimed.id), reason=str(error))
                finished = await _write(connection, claimed, home, NOTHING)
            if finished:
                return True, True
            await moves.note_elsewhere(connection, claimed.id, claimed.path)
            return False, await queue.is_wanted(connection, claimed.id)

    def _remove_published(self, claimed: Claimed) -> None:
        """Removes the files of a photo that was purged while it was fetched (trash)."""
        for path in (claimed.path, *renditions(claimed.path)):
            self._storage.unlink(path)

    async def _remove_large(self, claimed: Claimed) -> None:
        """Removes a large rendition of former bytes. The row says so; the file need not stay."""
        try:
            await asyncio.to_thread(self._storage.unlink, large_path(claimed.path))
        except OSError as error:
            log.warning("file not removed", photo=str(claimed.id), reason=error.strerror or str(error))

    async def _settle(self, claimed: Claimed, verdict: Verdict) -> None:
        """Removes temporary files, writes the outcome, and publishes what others can see."""
        await self._remove_temporary(claimed)
        status: str | None
        async with self._database.connection() as connection:
            match verdict:
                case Absent(reason):
                    gap_seconds = self._faults.timing.missing_gap
                    minutes = math.ceil(gap_seconds / 60)
                    waiting = f"InvokeAI does not have this image; it is asked once more in {minutes} minutes"
                    status = await queue.miss(
                        connection, claimed, gone=reason, waiting=waiting, gap_seconds=gap_seconds
                    )
                case Failure(reason):
                    attempts = self._settings.current.retrieval_max_attempts
                    status = await queue.fail(connection, claimed, reason, attempts)
                case Postponed(reason, delay, forget_missing):
                    released = await queue.release(
                        connection, claimed, error=reason or None, delay_seconds=delay, forget_missing=forget_missing
                    )
                    status = "postponed" if released else None
        if status is None:
            return
        log.info("photo not home yet", photo=str(claimed.id), status=status, reason=verdict.reason)
        if status == "pending":
            self._bus.changed("photo.updated", [claimed.id])
        elif status != "postponed":
            self._bus.changed("photo.failed", [claimed.id])
            self._bus.ledger_changed()
        if status == "gone":
            self._bus.backend_changed(claimed.backend_id)

    async def _remove_temporary(self, claimed: Claimed) -> None:
        for path in (claimed.path, thumbnail_path(claimed.path)):
            await self._discard(path, claimed)

    async def _discard(self, path: str, claimed: Claimed) -> None:
        try:
            await asyncio.to_thread(self._storage.discard, path, claimed.claim)
        except OSError as error:
            # Later sweeps remove it; the outcome matters more.
            log.warning("temporary file not removed", photo=str(claimed.id), reason=str(error))


async def _write(connection: Connection, claimed: Claimed, home: Home, known: Derived) -> bool:
    """The whole file is in its place: writes the row, also if the claim was taken from us and nobody has one now."""
    finished = await queue.finish(connection, claimed, home, known)
    return finished or await queue.adopt(connection, claimed, home, known)
