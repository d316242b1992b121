"""The lock and the marker of the data folder: it belongs to one library, and one Darkroom at a time uses it."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from uuid import UUID, uuid4

import structlog

from service.database.engine import Database
from service.errors import StartupError
from service.media.layout import PHOTOS
from service.media.storage import LocalStorage

log = structlog.get_logger()

LOCK: Final = "darkroom.lock"
FULL: Final = (errno.ENOSPC, errno.EDQUOT)

LIBRARY_ID: Final = "SELECT (value #>> '{}')::uuid FROM settings WHERE key = 'library_id'"
NEW_LIBRARY_ID: Final = (
    "INSERT INTO settings (key, value) VALUES ('library_id', to_jsonb($1::text)) ON CONFLICT (key) DO NOTHING"
)
# Downloads under way would be written into an empty mount point too.
HAS_PHOTOS: Final = "SELECT EXISTS (SELECT FROM photos WHERE purged_at IS NULL)"


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Makes the folder if need be and locks it for this process. The lock ends with the process, however it ends."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StartupError(
            f"the data folder {folder} cannot be used ({error.strerror}):"
            " set DARKROOM_DATA to one that this user can write"
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 20, 0).decode(errors="replace").strip() or "unknown"
            raise StartupError(
                f"Darkroom is already running on {folder} (process {holder}):"
                " use that one, stop it first, or set DARKROOM_DATA to another folder"
            ) from None
        except OSError as error:
            raise StartupError(
                f"files in the data folder {folder} cannot be locked ({error.strerror}), so two Darkrooms could use it"
                " at once: set DARKROOM_DATA to a folder elsewhere, or mount the share with locks"
            ) from error
        with suppress(OSError):  # a full disk; the process id is only information for others
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def is_library(folder: Path) -> bool:
    """Whether a library was ever begun here."""
    with _usable(folder):
        return LocalStorage(folder).marker() is not None


async def claim(database: Database, storage: LocalStorage) -> UUID:
    """Checks that database and folder belong together, or are both new: an unmounted disk must not pass for an empty
    library. Tries what images need of the folder. StartupError says what is wrong."""
    with _usable(storage.root):
        library_id = await _tie(database, storage)
        storage.keep_private()
        try:
            storage.try_out()
        except OSError as error:
            if error.errno not in FULL:
                raise
            # What is here can be shown; pictures come home once there is room.
            log.warning("the disk of the data folder is nearly full", reason=error.strerror)
    return library_id


@contextmanager
def _usable(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StartupError(
            f"pictures cannot be kept in {folder} ({error.strerror or error}): Darkroom must be able to write, sync,"
            " rename and remove files there. Mend that, or set DARKROOM_DATA to a folder elsewhere"
        ) from error


async def _tie(database: Database, storage: LocalStorage) -> UUID:
    async with database.connection() as connection:
        known: UUID | None = await connection.fetchval(LIBRARY_ID)
        if known is None:
            if storage.marker() is not None and (storage.root / PHOTOS).is_dir():
                raise StartupError(
                    f"{storage.root} holds the pictures of a library, and the database is new:"
                    " check DARKROOM_DATABASE_URL and DARKROOM_DATA"
                )
            await connection.execute(NEW_LIBRARY_ID, str(uuid4()))
            known = await connection.fetchval(LIBRARY_ID)
        has_photos = bool(await connection.fetchval(HAS_PHOTOS))
    if known is None:
        raise StartupError("the database does not keep the library's id")
    if has_photos or (storage.marker() is not None):
        storage.check_marker(known)
    else:
        storage.create_marker(known)
    return known
