"""The data folder on a local disk. A file gets its name when it is whole and durable, or not at all.

Everything here blocks: call it in a thread.
"""

from __future__ import annotations

import errno
import hashlib
import math
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import partial
from io import BufferedReader, FileIO
from pathlib import Path
from uuid import UUID, uuid4

import structlog

from service.errors import StartupError
from service.media import regular
from service.media.layout import PHOTOS
from service.media.leftovers import TEMPORARY, Leftovers, Stray, stray

log = structlog.get_logger()

MARKER = ".darkroom"
MARKER_BYTES = 64
SYNC_NOT_POSSIBLE = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})
LINK_NOT_POSSIBLE = frozenset(
    {errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV, errno.EINVAL}
)
"""Errors of file systems without hard links, or with no more of them for one file."""
COPIED_AT_ONCE = 2**20
TRIAL = ".trial"
SEARCHED = ".searched"
SEARCH_SECONDS = 30 * 86_400.0
"""After so long the library is searched for temporary files anyway."""
PRIVATE = 0o700
"""Mode of folders with images: only the user that Darkroom runs as can open them."""
RESERVE = 512 * 1024 * 1024
"""Bytes that images leave free on their disk, or a quarter of a small disk: the embedded database is there too, and
stops when it can write no more."""


class LocalStorage:
    """Files by their path relative to `root`, as layout.py builds it."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self._root_name = str(self.root).rstrip("/")
        self.leftovers = Leftovers()
        self._library_id: UUID | None = None

    # --- The marker of the library ---

    def marker(self) -> UUID | None:
        """The library that the folder belongs to; None in a new folder, and in an empty mount point."""
        try:
            return UUID(regular.read_start(self.root / MARKER, MARKER_BYTES).decode().strip())
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise StartupError(f"{self.root / MARKER} is damaged: it should hold the library's id") from error

    def create_marker(self, library_id: UUID) -> None:
        """Marks the folder as the library's."""
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
        """Raises `OSError` if the folder no longer has its library: its disk may be unmounted, and mounting it again
        would hide what is written now."""
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
        """As `path`, as text for a system call; a tenth of the cost."""
        if relative in ("", ".") or relative[0] == "/" or ".." in relative.split("/") or "\0" in relative:
            raise ValueError(f"{relative!r} is no path inside the data folder")
        return f"{self._root_name}/{relative}"

    def temporary(self, relative: str, token: UUID) -> Path:
        """The name under which the holder of `token` writes `relative`: hidden, in the same folder."""
        final = self.path(relative)
        return final.with_name(f".{final.name}.{token}{TEMPORARY}")

    # --- Writing ---

    def append(self, relative: str, token: UUID, pieces: Iterable[bytes]) -> None:
        """Appends to the temporary file. The first call makes it and its folder."""
        temporary = self.temporary(relative, token)
        _make_folder(temporary.parent)
        with _open_to_write(temporary, os.O_APPEND) as file:
            for piece in pieces:
                _write_all(file, piece)

    def publish(self, relative: str, token: UUID, name: str | None = None, *, sync: bool = True) -> None:
        """Makes the temporary file durable and gives it its name, or `name`, in place of any file there. Without
        `sync`, its folder is still to be synced."""
        temporary = self.temporary(relative, token)
        with regular.open_file(temporary) as file:
            os.fsync(file.fileno())
        final = self.path(name or relative)
        _make_folder(final.parent)
        temporary.replace(final)
        if sync:
            sync_folder(final.parent)

    def replace(self, relative: str, content: bytes, token: UUID, *, sync: bool = True) -> None:
        """Writes `content` under the name, whole and durable. Without `sync`, its folder is still to be synced."""
        temporary = self.temporary(relative, token)
        _make_folder(temporary.parent)
        try:
            with _open_to_write(temporary, os.O_TRUNC) as file:
                _write_all(file, content)
            self.publish(relative, token, sync=sync)
        except BaseException:
            self.discard(relative, token)
            raise

    def discard(self, relative: str, token: UUID) -> None:
        """Removes the temporary file, if it is still there. One that cannot be removed now is remembered."""
        self.remove_stray(Stray(self.temporary(relative, token), token))

    def remove_stray(self, stray: Stray) -> None:
        """As `discard`. If it is missing while its disk is away, nothing is known: it is remembered, too."""
        try:
            stray.path.unlink()
        except OSError as error:
            # A read-only disk gives this error also for files that are not there.
            if not isinstance(error, FileNotFoundError) and not _is_absent(stray.path):
                self.leftovers.add(stray)
                raise
            try:
                self.check_mounted()
            except OSError:
                self.leftovers.add(stray)

    def share(self, existing: str, relative: str) -> None:
        """Gives the same bytes a second name, in place of any file there: a hard link, or a copy if the disk has none.
        Its folder is still to be synced."""
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
            if not has_same_bytes(source, target):
                self._copy(source, relative)

    def _replace_by(self, source: Path, relative: str) -> None:
        """Replaces a taken name, which only renaming can."""
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
        """Copies with its modification time, by which renditions are told apart."""
        token = uuid4()
        temporary = self.temporary(relative, token)
        self.check_room()
        try:
            with regular.open_file(source) as file:
                written = os.fstat(file.fileno())
                self.append(relative, token, iter(partial(file.read, COPIED_AT_ONCE), b""))
            os.utime(temporary, ns=(written.st_atime_ns, written.st_mtime_ns))
            self.publish(relative, token)
        finally:
            self.discard(relative, token)

    def sync_folders(self, relatives: Iterable[str]) -> None:
        """Syncs the folders of these names: new and removed names become durable."""
        for folder in {self.path(relative).parent for relative in relatives}:
            if folder.is_dir():
                sync_folder(folder)

    def unlink(self, relative: str) -> None:
        """Removes the name, if it is there."""
        self.path(relative).unlink(missing_ok=True)

    def unlink_all(self, relatives: Iterable[str]) -> bool:
        """Removes all that it can, and returns whether none of these names is left."""
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
        """Opens a file. Raises FileNotFoundError for anything but a regular file: links are not followed, and pipes not
        waited for."""
        return regular.open_file(self.name(relative))

    def size(self, relative: str) -> int:
        """The file's size. Raises as `open` does."""
        return regular.status(self.name(relative)).st_size

    def exists(self, relative: str) -> bool:
        return regular.is_there(self.name(relative))

    def keep_private(self) -> None:
        """Closes the folder of the images to other users of the machine, if the disk supports that."""
        try:
            opened = os.open(self.root / PHOTOS, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:  # there is none yet, or the owner put a link there
            return
        try:
            found = os.fstat(opened)
            if found.st_uid == os.geteuid() and found.st_mode & 0o077:
                os.fchmod(opened, PRIVATE)
        except OSError as error:
            log.warning("other users of this machine may see the pictures", reason=error.strerror)
        finally:
            os.close(opened)

    def check_room(self) -> None:
        """Raises `OSError` if the free space on the disk is down to the reserve."""
        room, reserve = self._room_and_reserve()
        if room < 0:
            raise OSError(errno.ENOSPC, f"less than {reserve // 2**20} MB are free on its disk")

    def room(self) -> int:
        """Bytes that may be written until the reserve is reached. Raises `OSError`."""
        return self._room_and_reserve()[0]

    def _room_and_reserve(self) -> tuple[int, int]:
        usage = shutil.disk_usage(self.root)
        reserve = min(RESERVE, usage.total // 4)
        return usage.free - reserve, reserve

    def try_out(self) -> None:
        """Writes, syncs and removes a small file as for each image. Raises `OSError` when that fails, when the disk is
        nearly full, or when the folder is another one by now."""
        self.check_mounted()
        self.check_room()
        name = f"{PHOTOS}/{TRIAL}" if (self.root / PHOTOS).is_dir() else TRIAL
        self.replace(name, b"\n", uuid4())
        self.unlink(name)

    def strays(self, relatives: Iterable[str]) -> Iterator[Stray]:
        """All temporary files of these names. Reads each folder once."""
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

    def take_search_mark(self) -> None:
        """At the start: if the last process left a mark, the library need not be searched for temporary files. The mark
        goes, as this process may be killed."""
        try:
            mark = regular.read_start(self.root / SEARCHED, MARKER_BYTES)
            (self.root / SEARCHED).unlink()
            sync_folder(self.root)
            searched_at = float(mark)
        except (OSError, ValueError):
            return
        if 0 <= time.time() - searched_at < SEARCH_SECONDS:
            self.leftovers.searched_at = searched_at

    def leave_search_mark(self) -> None:
        """At the end, if no temporary file is left and the library was searched: says when."""
        if self.leftovers.searched_at is None or not self.leftovers.are_none:
            return
        with suppress(OSError):  # without the mark, the next process searches
            self.check_mounted()
            self.replace(SEARCHED, f"{int(self.leftovers.searched_at)}\n".encode(), uuid4())


def has_same_bytes(one: Path, other: Path) -> bool:
    """Whether both are the same regular file, or have the same content. Raises `OSError` of the first."""
    first = regular.status(one)
    if not regular.is_there(other):
        return False
    second = regular.status(other)
    if (first.st_dev, first.st_ino) == (second.st_dev, second.st_ino):
        return True
    return first.st_size == second.st_size and checksum(one) == checksum(other)


def checksum(path: Path) -> str:
    with regular.open_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _open_to_write(path: Path, how: int) -> FileIO:
    """Opens a file unbuffered, and makes it if it is not there. A link is not followed."""
    return FileIO(regular.descriptor(path, os.O_WRONLY | os.O_CREAT | how), "wb")


def _write_all(file: FileIO, content: bytes) -> None:
    """Writes all. A raw file may take less than it is given."""
    rest = memoryview(content)
    while rest:
        rest = rest[file.write(rest) :]


def _listed(folder: Path) -> list[Path]:
    """The entries of the folder; none for a folder that is missing or closed to us."""
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def last_written(path: Path) -> float:
    """When it was last written; now, for one that was renamed since it was found, or is closed to us."""
    try:
        return path.lstat().st_mtime
    except OSError:
        return math.inf


def _is_absent(path: Path) -> bool:
    """Whether certainly no file has that name."""
    try:
        path.lstat()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False


def _make_folder(folder: Path) -> None:
    """Makes the folder with its parents, each durable in the one above."""
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for new in reversed(missing):
        new.mkdir(mode=PRIVATE, exist_ok=True)
        sync_folder(new.parent)


def sync_folder(folder: Path) -> None:
    """Makes the names in it durable, if the file system can: network shares often sync no folders, and PostgreSQL goes
    on there too."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in SYNC_NOT_POSSIBLE:
            raise
    finally:
        os.close(descriptor)
