"""Opens files of the data folder that others may have put there: regular files only.

A link would lead out of the folder, and opening a pipe waits until somebody writes to it. Anything but a regular file
counts as missing.
"""

from __future__ import annotations

import errno
import os
import stat
from io import DEFAULT_BUFFER_SIZE, BufferedReader, FileIO
from pathlib import Path
from typing import Final

# Without O_NONBLOCK opening a pipe would wait; it does not affect regular files.
SAFELY: Final = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
NOT_REGULAR: Final = frozenset({errno.ELOOP, errno.EMLINK, errno.ENXIO})
"""Errors of opening a link (EMLINK on FreeBSD), or a socket, or a pipe that nobody reads."""


def descriptor(path: str | Path, flags: int = os.O_RDONLY) -> int:
    """An open file descriptor, by default for reading. Raises FileNotFoundError for anything but a regular file."""
    try:
        opened = os.open(path, flags | SAFELY, 0o666)
    except OSError as error:
        if error.errno in NOT_REGULAR:
            raise _missing(path) from error
        raise
    if not stat.S_ISREG(os.fstat(opened).st_mode):
        os.close(opened)
        raise _missing(path)
    return opened


def open_file(path: str | Path, buffering: int = DEFAULT_BUFFER_SIZE) -> BufferedReader:
    """Opens for reading. Raises FileNotFoundError for anything but a regular file."""
    return BufferedReader(FileIO(descriptor(path), "rb"), buffering)


def read_start(path: str | Path, size: int) -> bytes:
    """The first bytes. Raises FileNotFoundError for anything but a regular file."""
    with open_file(path) as file:
        return file.read(size)


def status(path: str | Path) -> os.stat_result:
    """The file's status. Raises FileNotFoundError for anything but a regular file."""
    found = os.lstat(path)
    if not stat.S_ISREG(found.st_mode):
        raise _missing(path)
    return found


def is_there(path: str | Path) -> bool:
    """Whether a regular file has that name, as far as that can be seen."""
    try:
        status(path)
    except OSError:
        return False
    return True


def _missing(path: str | Path) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, "there is no regular file", str(path))
