"""JPEGs that lack only their end marker: viewers show them whole, and so do we (whole upload or nothing)."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import BinaryIO, Final

import pyvips

from service.media import regular

BEGIN: Final = b"\xff\xd8"
END: Final = b"\xff\xd9"
FILLERS: Final = (b"\x00" * 64, b"\xaa" * 64, b"\x5b" * 64)
"""Filler data that decode to something if a decoder expects more."""
FRAMES: Final = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
SCAN: Final = 0xDA
WITHOUT_LENGTH: Final = frozenset({0x01, *range(0xD0, 0xD9)})
PIECE: Final = 64 * 1024


class Ended:
    """The bytes of a file followed by a tail, for libvips."""

    def __init__(self, file: BinaryIO, tail: bytes = END) -> None:
        self._file = file
        self._tail = tail
        self._size = _size_without_half_a_marker(file)
        self._at = 0

    def source(self) -> pyvips.Source:
        source = pyvips.SourceCustom()
        source.on_read(self._read)
        source.on_seek(self._seek)
        return source

    def _read(self, size: int) -> bytes:
        self._file.seek(min(self._at, self._size))
        content = self._file.read(max(0, min(size, self._size - self._at)))
        if len(content) < size:
            behind = self._at + len(content) - self._size
            content += self._tail[behind : behind + size - len(content)]
        self._at += len(content)
        return content

    def _seek(self, offset: int, whence: int) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size + len(self._tail)}[whence]
        self._at = start + offset
        return self._at


def lacks_only_its_end(path: Path) -> bool:
    """Whether a JPEG that cannot be decoded could be decoded with an end marker, and nothing else of it is missing."""
    with regular.open_file(path) as file, regular.open_file(path) as again:
        if file.read(len(BEGIN)) != BEGIN:
            return False
        try:
            return _has_all_scans(file) and _needs_no_more(file, again)
        except (struct.error, pyvips.Error):
            return False


def _needs_no_more(file: BinaryIO, again: BinaryIO) -> bool:
    """Whether the decoder needs no more data. One that does takes the filler for data; one that has all skips it."""
    for filler in FILLERS:
        plain, filled = _pixels(Ended(file)), _pixels(Ended(again, filler + END))
        if (plain - filled).abs().max() > 0:
            return False
    return True


def _pixels(ended: Ended) -> pyvips.Image:
    return pyvips.Image.new_from_source(ended.source(), "", access="sequential")


def _size_without_half_a_marker(file: BinaryIO) -> int:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 1))
    return size - 1 if file.read(1) == END[:1] else size


def _has_all_scans(file: BinaryIO) -> bool:
    """Whether every coefficient of every component is there with its last bit: a progressive JPEG may be cut between
    two of its scans (ITU-T T.81, B.2)."""
    missing: set[tuple[int, int]] | None = None
    while (marker := _next_marker(file)) is not None:
        if marker in WITHOUT_LENGTH:
            continue
        (length,) = struct.unpack(">H", file.read(2))
        data = file.read(length - 2)
        if len(data) < length - 2:
            return False
        if marker in FRAMES:
            missing = {(data[6 + 3 * n], k) for n in range(data[5]) for k in range(64)}
        elif marker == SCAN and missing is not None:
            components = [data[1 + 2 * n] for n in range(data[0])]
            first, last, approximation = struct.unpack_from("BBB", data, 1 + 2 * data[0])
            if approximation & 15 == 0:
                missing -= {(component, k) for component in components for k in range(first, last + 1)}
    return missing is not None and not missing


def _next_marker(file: BinaryIO) -> int | None:
    """The next marker after the data of a scan; None at the end of the file."""
    while piece := file.read(PIECE):
        at = piece.find(b"\xff")
        while at >= 0:
            if at + 1 == len(piece):
                following = file.read(1)
                if not following:
                    return None
                piece += following
            if piece[at + 1] not in (0x00, 0xFF):
                file.seek(at + 2 - len(piece), os.SEEK_CUR)
                return piece[at + 1]
            at = piece.find(b"\xff", at + 1)
    return None
