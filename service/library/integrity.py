"""Whether a photo's files are what its row says, and what follows where they are not (rule 18). Nothing is deleted
here: a damaged file stays until a whole one takes its name."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, TypeVar
from uuid import UUID

import structlog

from service.database.engine import Database
from service.errors import DataFolderAway
from service.library.thumbnails import Thumbnails
from service.live.announce import Announcer
from service.media import png
from service.media.layout import large_path
from service.media.storage import LocalStorage
from service.retrieval import lost_files
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
    """What is wrong with the file, or None; and what was read of it, where it could be read."""

    fault: str | None
    summed: png.Summed | None


class Look(NamedTuple):
    """What the sizes of a photo's files tell. A rendition that the photo never had is not missing."""

    fault: str | None
    has_thumbnail: bool
    has_large: bool


class Integrity:
    """`suspicious` is set when a lost file was found: others may be lost with it. The background pass takes it back."""

    def __init__(
        self,
        database: Database,
        storage: LocalStorage,
        thumbnails: Thumbnails,
        announcer: Announcer,
        *,
        mover: FileMover,
        wake_retrieval: Callable[[], None],
    ) -> None:
        self._database = database
        self._storage = storage
        self._thumbnails = thumbnails
        self._announcer = announcer
        self._mover = mover
        self._wake_retrieval = wake_retrieval
        self.suspicious = False

    # --- Looking ---

    async def check(self, path: str, file_size: int | None, sha256: str) -> Checked:
        """Reads the whole file, in a thread. Raises `DataFolderAway`."""
        return await self._reading(asyncio.to_thread(_check, self._storage, path, file_size, sha256))

    async def check_size(self, path: str, file_size: int) -> str | None:
        """What is wrong with the file, as far as its size tells. Raises `DataFolderAway`."""
        return await self._reading(asyncio.to_thread(_check_size, self._storage, path, file_size))

    async def check_sizes(self, files: Sequence[tuple[str, int, str | None, bool]]) -> list[Look]:
        """As `check_size`, of several files (path, size, thumbnail, whether there is a large rendition). Raises
        `DataFolderAway`."""
        return await self._reading(asyncio.to_thread(_look, self._storage, files))

    async def has_thumbnail(self, path: str) -> bool:
        """Whether it is there and whole. Raises `DataFolderAway`."""
        return await self._reading(asyncio.to_thread(_has_thumbnail, self._storage, path))

    async def _reading(self, work: Awaitable[T]) -> T:
        """A finding counts only while the data folder is still the one that was opened: looked at afterwards."""
        try:
            found = await work
            await asyncio.to_thread(self._storage.check_mounted)
        except OSError as error:
            raise DataFolderAway(f"the data folder cannot be read: {error.strerror or error}") from error
        return found

    # --- What follows ---

    async def lost(self, photo_id: UUID, path: str, sha256: str, fault: str, *, next_in_line: bool) -> str | None:
        """The photo is no longer home: it waits for its server, or has failed where there is none. Its new status; None
        when the row no longer says what was looked at, or the file is whole: it was moved, or another of the photo's
        names had it (rule 13)."""
        async with self._mover.holding(photo_id):
            if await self._mover.restore(photo_id, path, sha256):
                log.info("file is in its place", photo=str(photo_id), path=path, after=fault)
                return None
            async with self._database.transaction() as connection:
                status = await lost_files.reopen(connection, photo_id, path, sha256, fault, next_in_line=next_in_line)
                if status is not None:
                    await moves.note_selected(connection, photo_id)
        if status is None:
            return None
        log.warning("photo is no longer home", photo=str(photo_id), path=path, reason=fault, status=status)
        self.suspicious = True
        self._thumbnails.drop([photo_id])
        self._mover.start(photo_id)
        if status == "pending":
            self._announcer.photos_updated([photo_id])
            self._wake_retrieval()
        else:
            self._announcer.photos_failed([photo_id])
        self._announcer.ledger_changed()
        return status

    async def found_again(self, photo_id: UUID, path: str, sha256: str) -> bool:
        """Home again, if the file that was lost is in its place, as after a backup was put back."""
        checked = await self.check(path, None, sha256)
        if checked.fault is not None or checked.summed is None:
            return False
        async with self._database.connection() as connection:
            if not await lost_files.complete_again(connection, photo_id, path, sha256, checked.summed.size):
                return False
        log.info("photo is home again", photo=str(photo_id), path=path)
        self._announcer.photos_ready([photo_id])
        self._announcer.ledger_changed()
        self._mover.start(photo_id)
        return True


def _check(storage: LocalStorage, path: str, file_size: int | None, sha256: str) -> Checked:
    """`file_size` None: the checksum decides alone."""
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
        found = storage.path(path).stat().st_size
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
