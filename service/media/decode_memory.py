"""How much memory decoding a picture needs, and a bound on all decodes together."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pyvips

LEAST, MOST = 2**28, 2**30
"""Bytes for all decodes together, on a machine with very little or very much memory."""
SHARE: Final = 4
"""Decodes get a quarter of the machine's memory."""
CGROUP_LIMITS: Final = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))

# Measured as peaks of the process (libvips 8.17), rounded up.
BASE: Final = 2**25
"""Bytes that any picture needs, with its renditions."""
EACH_ROW: Final = 100
"""Bytes for each row besides its pixels: a picture may be millions of rows high."""
ROWS: Final = 1_400
"""Rows in memory, at most, of a picture that is decoded row by row, between the steps that make it smaller."""
ROWS_EACH: Final = 4.5
"""A picture of few rows: each row counts that many times."""
WHOLE: Final = {"heif": 5.0, "webp": 1.0, "gif": 1.0}
"""Loaders that decode the whole picture, and how many times its bytes they need."""
WHOLE_IF: Final = ("interlaced", "jpeg-multiscan")
SUBSAMPLED, NOT_SUBSAMPLED = 1.1, 2.0
"""How many times its bytes a JPEG of several scans needs: its decoder keeps two bytes a sample."""
SAMPLE_BYTES: Final = {"uchar": 1, "char": 1, "ushort": 2, "short": 2, "uint": 4, "int": 4, "float": 4}


class Memory:
    """A bound on the memory of decodes. A thread reserves what its decode needs, and waits while there is too
    little."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._left = most
        self._turn = threading.Lock()
        self._given_back = threading.Condition()

    @contextmanager
    def taken(self, size: int) -> Iterator[None]:
        """Reserves `size` bytes, at most `most`."""
        with (
            self._turn,
            self._given_back,
        ):  # one waits at a time: small ones keep no large one waiting
            self._given_back.wait_for(lambda: self._left >= size)
            self._left -= size
        try:
            yield
        finally:
            with self._given_back:
                self._left += size
                self._given_back.notify_all()


def bytes_for_decodes() -> int:
    """A quarter of the memory of the machine, or of its container."""
    there = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for path in CGROUP_LIMITS:
        try:
            there.append(int(path.read_text()))
        except (OSError, ValueError):
            continue  # no such file, or "max"
    return max(LEAST, min(MOST, min(there) // SHARE))


def decoding_bytes(header: pyvips.Image) -> int:
    """The memory that decoding it takes, about."""
    row: int = header.width * header.bands * SAMPLE_BYTES.get(header.format, 8)
    return BASE + EACH_ROW * int(header.height) + round(row * _rows(header))


def _rows(header: pyvips.Image) -> float:
    height: int = header.height
    loader = header.get("vips-loader")
    for name, times in WHOLE.items():
        if loader.startswith(name):
            return height * times
    if any(header.get_typeof(field) and header.get(field) for field in WHOLE_IF):
        if not loader.startswith("jpeg"):
            return height
        sampling = header.get("jpeg-chroma-subsample") if header.get_typeof("jpeg-chroma-subsample") else ""
        return height * (SUBSAMPLED if sampling == "4:2:0" else NOT_SUBSAMPLED)
    return min(ROWS, height * ROWS_EACH)
