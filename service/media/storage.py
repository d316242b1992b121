"""The data folder on a local disk. What is written appears under its name whole and durable, or not at all.

Everything here blocks: call it in a thread.
"""

from __future__ import annotations

import errno
import hashlib
import math
import os
import shutil
from collections.abc import Iterable, Iterator
from functools import partial
from io import BufferedReader, FileIO
from pathlib import Path
from uuid import UUID, uuid4

import structlog

from service.errors import StartupError
from service.media.layout import PHOTOS
from service.media.leftovers import TEMPORARY, Leftovers, Stray, stray

log = structlog.get_logger()

MARKER = ".darkroom"
SYNC_NOT_POSSIBLE = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})
LINK_NOT_POSSIBLE = frozenset(
    {errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV, errno.EINVAL}
)
"""What file systems say that have no second names, or no more of them for one file."""
COPIED_AT_ONCE = 2**20
TRIAL = ".trial"
RESERVE = 512 * 1024 * 1024
"""Bytes that pictures leave free on their disk, or a quarter of a small one: the embedded database, which is there too,
ends when it can write no more."""


class LocalStorage:
    """Files by their path relative to `root`, as layout.py builds it."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self._root_name = str(self.root).rstrip("/")
        self.leftovers = Leftovers()
        self._library_id: UUID | None = None

    # --- Whose folder this is ---

    def marker(self) -> UUID | None:
        """The library the folder belongs to; None in a new folder, and in an empty mount point."""
        try:
            return UUID((self.root / MARKER).read_text().strip())
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise StartupError(f"{self.root / MARKER} is damaged: it should hold the library's id") from error

    def create_marker(self, library_id: UUID) -> None:
        """Makes the folder the library's own."""
        self.root.mkdir(parents=True, exist_ok=True)
        self.replace(MARKER, f"{library_id}\n".encode(), library_id)
        self._library_id = library_id

    def check_marker(self, library_id: UUID) -> None:
        """Raises `StartupError` unless the folder is that library's: an unmounted disk is no empty library."""
        found = self.marker()
        if found is None:
            raise StartupError(
                f"{self.root} is not the data folder this library's pictures are in: there is no {MARKER} file."
                " Is the disk mounted, and DARKROOM_DATA right?"
            )
        if found != library_id:
            raise StartupError(
                f"{self.root} holds the pictures of another library: check DARKROOM_DATA and DARKROOM_DATABASE_URL"
            )
        self._library_id = library_id

    def check_mounted(self) -> None:
        """Raises `OSError` when the library the folder was opened for is no longer in it: its disk may have gone, and
        what is written now would be hidden by its return."""
        if self._library_id is None:
            return
        try:
            found = self.marker()
        except StartupError:
            found = None
        if found != self._library_id:
            raise OSError(errno.ENODEV, f"{self.root} is not the folder that was opened: is its disk still mounted?")

    # --- Names ---

    def path(self, relative: str) -> Path:
        """The absolute path. Raises `ValueError` for a path that could lead out of the data folder."""
        return Path(self.name(relative))

    def name(self, relative: str) -> str:
        """As `path`, for a call to the system; a tenth of the cost."""
        if relative in ("", ".") or relative[0] == "/" or ".." in relative.split("/") or "\0" in relative:
            raise ValueError(f"{relative!r} is no path inside the data folder")
        return f"{self._root_name}/{relative}"

    def temporary(self, relative: str, token: UUID) -> Path:
        """The name under which `relative` is being written by the holder of `token`: hidden, in the same folder."""
        final = self.path(relative)
        return final.with_name(f".{final.name}.{token}{TEMPORARY}")

    # --- Writing ---

    def append(self, relative: str, token: UUID, pieces: Iterable[bytes]) -> None:
        """Adds to the temporary file, which is made, with its folder, by the first call."""
        temporary = self.temporary(relative, token)
        _make_folder(temporary.parent)
        with temporary.open("ab", buffering=0) as file:
            for piece in pieces:
                _write_all(file, piece)

    def publish(self, relative: str, token: UUID, name: str | None = None) -> None:
        """Makes the temporary file durable and gives it its name, or another, in place of whatever has it."""
        temporary = self.temporary(relative, token)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        final = self.path(name or relative)
        _make_folder(final.parent)
        temporary.replace(final)
        sync_folder(final.parent)

    def replace(self, relative: str, content: bytes, token: UUID) -> None:
        """Writes `content` under the name, whole and durable."""
        self.discard(relative, token)
        try:
            self.append(relative, token, [content])
            self.publish(relative, token)
        finally:
            self.discard(relative, token)

    def discard(self, relative: str, token: UUID) -> None:
        """Removes the temporary file, if it is still there. One that cannot be removed now is remembered."""
        self.remove_stray(Stray(self.temporary(relative, token), token))

    def remove_stray(self, stray: Stray) -> None:
        """As `discard`. Of one that is missing while its disk is away nothing is known: it is remembered, too."""
        try:
            stray.path.unlink()
        except OSError as error:
            # A disk that is read-only says so of files that are not there, too.
            if not isinstance(error, FileNotFoundError) and not _is_absent(stray.path):
                self.leftovers.add(stray)
                raise
            try:
                self.check_mounted()
            except OSError:
                self.leftovers.add(stray)

    def share(self, existing: str, relative: str) -> None:
        """A second name for the same bytes, in place of whatever has it: of the same file, or of a copy where the disk
        has no second names. Its folder is still to be synced."""
        source, target = self.path(existing), self.path(relative)
        _make_folder(target.parent)
        try:
            os.link(source, target)
        except FileExistsError:
            if not has_same_bytes(source, target):
                self._replace_by(source, relative)
        except OSError as error:
            if error.errno not in LINK_NOT_POSSIBLE:
                raise
            if not (target.exists() and has_same_bytes(source, target)):
                self._copy(source, relative)

    def _replace_by(self, source: Path, relative: str) -> None:
        """A name that is taken can only be had by renaming."""
        token = uuid4()
        temporary = self.temporary(relative, token)
        try:
            os.link(source, temporary)
        except OSError as error:
            if error.errno not in LINK_NOT_POSSIBLE:
                raise
            self._copy(source, relative)
            return
        try:
            temporary.replace(self.path(relative))
        finally:
            self.discard(relative, token)

    def _copy(self, source: Path, relative: str) -> None:
        """With its time, by which a rendition is told from another."""
        token = uuid4()
        temporary = self.temporary(relative, token)
        self.check_room()
        try:
            with source.open("rb") as file:
                written = os.fstat(file.fileno())
                self.append(relative, token, iter(partial(file.read, COPIED_AT_ONCE), b""))
            os.utime(temporary, ns=(written.st_atime_ns, written.st_mtime_ns))
            self.publish(relative, token)
        finally:
            self.discard(relative, token)

    def sync_folders(self, relatives: Iterable[str]) -> None:
        """Makes these names, and that others are gone, durable."""
        for folder in {self.path(relative).parent for relative in relatives}:
            if folder.is_dir():
                sync_folder(folder)

    def unlink(self, relative: str) -> None:
        """Removes the name, if it is there."""
        self.path(relative).unlink(missing_ok=True)

    def unlink_all(self, relatives: Iterable[str]) -> bool:
        """Removes what it can, whatever becomes of each; whether none of these names is left."""
        try:
            self.check_mounted()
        except OSError as error:
            log.warning("files not removed", reason=error.strerror)
            return False
        gone = True
        for relative in relatives:
            try:
                self.unlink(relative)
            except OSError as error:
                log.warning("file not removed", name=relative, reason=error.strerror or str(error))
                gone = False
        return gone

    # --- Reading ---

    def open(self, relative: str) -> BufferedReader:
        return self.path(relative).open("rb")

    def exists(self, relative: str) -> bool:
        return self.path(relative).is_file()

    def check_room(self) -> None:
        """Raises `OSError` when what is left on the disk is to be kept for others."""
        usage = shutil.disk_usage(self.root)
        reserve = min(RESERVE, usage.total // 4)
        if usage.free < reserve:
            raise OSError(errno.ENOSPC, f"less than {reserve // 2**20} MB are free on its disk")

    def try_out(self) -> None:
        """Does with a small file what is done with each picture, and removes it. Raises `OSError` when that fails, when
        the disk is nearly full, or when the folder is another one by now."""
        self.check_mounted()
        self.check_room()
        name = f"{PHOTOS}/{TRIAL}" if (self.root / PHOTOS).is_dir() else TRIAL
        self.replace(name, b"\n", uuid4())
        self.unlink(name)

    def strays(self, relatives: Iterable[str]) -> Iterator[Stray]:
        """The temporary files of these names, whoever wrote them. Reads each folder once."""
        wanted: dict[Path, set[str]] = {}
        for final in map(self.path, relatives):
            wanted.setdefault(final.parent, set()).add(final.name)
        for folder, finals in wanted.items():
            for path in _listed(folder):
                found = stray(path)
                if found is not None and found.final_name in finals:
                    yield found

    def all_strays(self, before: float) -> Iterator[Stray]:
        """Every temporary file last written before that moment (seconds since 1970). Walks the whole library."""
        for folder, _, names in os.walk(self.root / PHOTOS):
            for name in names:
                found = stray(Path(folder, name))
                if found is not None and last_written(found.path) < before:
                    yield found


def has_same_bytes(one: Path, other: Path) -> bool:
    """Whether both are the same file, or have the same content. Raises `OSError`."""
    first, second = one.stat(), other.stat()
    if (first.st_dev, first.st_ino) == (second.st_dev, second.st_ino):
        return True
    return first.st_size == second.st_size and checksum(one) == checksum(other)


def checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_all(file: FileIO, content: bytes) -> None:
    """A raw file may take less than it is given."""
    rest = memoryview(content)
    while rest:
        rest = rest[file.write(rest) :]


def _listed(folder: Path) -> list[Path]:
    """Nothing for a folder that is not there, or closed to us."""
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def last_written(path: Path) -> float:
    """Just now, for one that has got its name since it was found, or is closed to us."""
    try:
        return path.lstat().st_mtime
    except OSError:
        return math.inf


def _is_absent(path: Path) -> bool:
    """Whether nothing has that name, for certain."""
    try:
        path.lstat()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False


def _make_folder(folder: Path) -> None:
    """With its parents, each durable in the one above."""
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for new in reversed(missing):
        new.mkdir(exist_ok=True)
        sync_folder(new.parent)


def sync_folder(folder: Path) -> None:
    """Makes the names in it durable, where the file system can: network shares often sync no folders, and PostgreSQL
    goes on there too."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in SYNC_NOT_POSSIBLE:
            raise
    finally:
        os.close(descriptor)
