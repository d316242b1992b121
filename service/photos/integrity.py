"""Checks photos' files against their rows, and records lost ones (rows are true).

Nothing is deleted here: a damaged file stays until a whole one takes its name.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Awaitable, Sequence
from typing import NamedTuple, TypeVar
from uuid import UUID

import structlog

from service.bus.bus import Bus
from service.database.engine import Database
from service.errors import DataFolderAway
from service.media import png
from service.media.layout import large_path
from service.media.storage import LocalStorage
from service.photos import retries
from service.selection import moves
from service.selection.mover import FileMover

log = structlog.get_logger()

T = TypeVar("T")

MISSING = "its file is missing from the data folder"
UNREADABLE = "its file is damaged: the disk cannot read it"
OTHER_BYTES = "its file is damaged: its bytes are not those that came"
WEBP_HEADER = 12


class LostFile(Exception):
    """The file of a photo that counts as home is missing or damaged; the message says which."""


class Checked(NamedTuple):
    """The fault of the file, or None; and what was read of it, if it could be read."""

    fault: str | None
    summed: png.Summed | None


class Look(NamedTuple):
    """Faults by the sizes of a photo's files. A rendition that the photo never had is not missing."""

    fault: str | None
    has_thumbnail: bool
    has_large: bool


class Integrity:
    """Checks files against their rows. `suspicious` is set when a lost file was found: others may be lost too. The
    background pass resets it."""

    def __init__(
        self,
        database: Database,
        storage: LocalStorage,
        bus: Bus,
        mover: FileMover,
    ) -> None:
        self._database = database
        self._storage = storage
        self._bus = bus
        self._mover = mover
        self.suspicious = False

    # --- Checks ---

    async def check(self, path: str, file_size: int | None, sha256: str) -> Checked:
        """Reads the whole file, in a thread. Raises `DataFolderAway`."""
        return await self._reading(asyncio.to_thread(_check, self._storage, path, file_size, sha256))

    async def check_size(self, path: str, file_size: int) -> str | None:
        """The fault of the file by its size, or None. Raises `DataFolderAway`."""
        return await self._reading(asyncio.to_thread(_check_size, self._storage, path, file_size))

    async def check_sizes(self, files: Sequence[tuple[str, int, str | None, bool]]) -> list[Look]:
        """As `check_size`, of several files (path, size, thumbnail, whether there is a large rendition). Raises
        `DataFolderAway`."""
        return await self._reading(asyncio.to_thread(_look, self._storage, files))

    async def has_thumbnail(self, path: str) -> bool:
        """Whether the thumbnail is there and whole. Raises `DataFolderAway`."""
        return await self._reading(asyncio.to_thread(_has_thumbnail, self._storage, path))

    async def _reading(self, work: Awaitable[T]) -> T:
        """Checks afterwards that the data folder is still the one that was opened: else the finding does not count."""
        try:
            found = await work
            await asyncio.to_thread(self._storage.check_mounted)
        except OSError as error:
            raise DataFolderAway(f"the data folder cannot be read: {error.strerror or error}") from error
        return found

    # --- Consequences ---

    async def lost(self, photo_id: UUID, path: str, sha256: str, fault: str, *, next_in_line: bool) -> str | None:
        """Records a lost file: the photo waits for its server, or has failed if there is none. Returns the new status;
        None if the row has changed since, or the file is whole: it was moved, or made again from another of the photo's
        names (safe selection)."""
        async with self._mover.holding(photo_id):
            if await self._mover.restore(photo_id, path, sha256):
                log.info("file is in its place", photo=str(photo_id), path=path, after=fault)
                return None
            async with self._database.transaction() as connection:
                status = await retries.reopen(connection, photo_id, path, sha256, fault, next_in_line=next_in_line)
                if status is not None:
                    await moves.note_selected(connection, photo_id)
        if status is None:
            return None
        log.warning("photo is no longer home", photo=str(photo_id), path=path, reason=fault, status=status)
        self.suspicious = True
        self._bus.files_gone([photo_id])
        self._mover.start(photo_id)
        if status == "pending":
            self._bus.changed("photo.updated", [photo_id])
            self._bus.retrieval_due()
        else:
            self._bus.changed("photo.failed", [photo_id])
        self._bus.ledger_changed()
        return status

    async def found_again(self, photo_id: UUID, path: str, sha256: str) -> bool:
        """Makes the photo home again if the lost file is in its place, as after a restore of a backup."""
        checked = await self.check(path, None, sha256)
        if checked.fault is not None or checked.summed is None:
            return False
        async with self._database.connection() as connection:
            if not await retries.complete_again(connection, photo_id, path, sha256, checked.summed.size):
                return False
        log.info("photo is home again", photo=str(photo_id), path=path)
        self._bus.changed("photo.ready", [photo_id])
        self._bus.ledger_changed()
        self._mover.start(photo_id)
        return True


def _check(storage: LocalStorage, path: str, file_size: int | None, sha256: str) -> Checked:
    """Reads and checks the file. `file_size` None: only the checksum counts."""
    try:
        summed = png.walk_and_sum(storage.path(path))
    except (FileNotFoundError, NotADirectoryError):
        return Checked(MISSING, None)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        return Checked(UNREADABLE, None)
    if file_size not in (None, summed.size):
        return Checked(wrong_size(summed.size, file_size or 0), summed)
    return Checked(None if summed.sha256 == sha256 else OTHER_BYTES, summed)


def _check_size(storage: LocalStorage, path: str, file_size: int) -> str | None:
    try:
        found = storage.size(path)
    except (FileNotFoundError, NotADirectoryError):
        return MISSING
    return None if found == file_size else wrong_size(found, file_size)


def _look(storage: LocalStorage, files: Sequence[tuple[str, int, str | None, bool]]) -> list[Look]:
    return [
        Look(
            _check_size(storage, path, file_size),
            thumbnail is None or _has_thumbnail(storage, thumbnail),
            not is_large_kept or _has_thumbnail(storage, large_path(path)),
        )
        for path, file_size, thumbnail, is_large_kept in files
    ]


def wrong_size(found: int, recorded: int) -> str:
    return f"its file is damaged: it has {found} bytes instead of {recorded}"


def _has_thumbnail(storage: LocalStorage, path: str) -> bool:
    try:
        with storage.open(path) as file:
            header = file.read(WEBP_HEADER)
            return is_whole_webp(header, file.seek(0, 2))
    except (FileNotFoundError, NotADirectoryError):
        return False


def is_whole_webp(header: bytes, size: int) -> bool:
    """Whether a WebP file is as long as its header says (RFC 9649, section 2.4)."""
    return header[:4] == b"RIFF" and header[8:12] == b"WEBP" and int.from_bytes(header[4:8], "little") + 8 == size
