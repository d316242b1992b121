"""Checks that a PNG is whole, by its chunks and their CRCs (PNG specification §5): decoders accept cut files."""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

from service.media import regular
from service.media.sizes import QUARTER_TURNS

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_FRAME = struct.Struct(">I4s")
_CRC = struct.Struct(">I")
_SIZE = struct.Struct(">II")
TEXTS = {b"invokeai_metadata": "metadata", b"invokeai_graph": "graph", b"invokeai_workflow": "workflow"}
"""Keywords of InvokeAI's text chunks, and the field of `Png` for each."""
WORDS = frozenset({b"tEXt", b"zTXt", b"iTXt", b"comf", b"eXIf"})
"""Types of chunks that may contain text. `comf` is ComfyUI's, of animations."""
KEPT = WORDS | {b"IHDR", b"acTL"}
MAX_TEXT = 4 * 1024 * 1024
"""A longer text does not count as InvokeAI's."""
PIECE = 256 * 1024
ORIENTATION = 0x0112
LONG = 4


_AFTER_HEADER = len(SIGNATURE) + 25


def with_text(png: bytes, keyword: str, text: str) -> bytes:
    """The PNG with one more text, which must be ASCII, directly after its header."""
    data = keyword.encode("ascii") + b"\0" + text.encode("ascii")
    chunk = _FRAME.pack(len(data), b"tEXt") + data + _CRC.pack(zlib.crc32(data, zlib.crc32(b"tEXt")))
    return b"".join((png[:_AFTER_HEADER], chunk, png[_AFTER_HEADER:]))


class Damaged(Exception):
    """The file is cut or damaged, or no image; the message says what is wrong."""


class Png(NamedTuple):
    """Result of a walk: the size in pixels as it is shown, turned as the file says, and the texts of InvokeAI (None if
    there is none)."""

    width: int
    height: int
    metadata: str | None = None
    graph: str | None = None
    workflow: str | None = None
    frames: int = 1
    """More than one in an animated PNG."""


class Summed(NamedTuple):
    """A file that was read to its end. `png` is None if it is no whole PNG."""

    size: int
    sha256: str
    png: Png | None


class _Reader(Protocol):
    def read(self, size: int, /) -> bytes: ...
    def tell(self) -> int: ...


class _Summing:
    """A reader that adds all bytes to a checksum."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._checksum = hashlib.sha256()

    def read(self, size: int, /) -> bytes:
        piece = self._file.read(size)
        self._checksum.update(piece)
        return piece

    def tell(self) -> int:
        return self._file.tell()

    def to_the_end(self) -> str:
        while self.read(PIECE):
            pass
        return self._checksum.hexdigest()


def walk(path: Path) -> Png:
    """Checks every chunk of the file. Raises `Damaged`. Bytes after the end chunk are allowed: the owner may have put
    them there."""
    with regular.open_file(path, PIECE) as file:
        return walk_open(file)


def walk_and_sum(path: Path) -> Summed:
    """Size, checksum and the result of a walk, from one reading. Raises `OSError`."""
    with regular.open_file(path, PIECE) as file:
        summing = _Summing(file)
        try:
            found = walk_open(summing)
        except Damaged:
            found = None
        sha256 = summing.to_the_end()
        return Summed(file.tell(), sha256, found)


def walk_open(file: _Reader, see_text: Callable[[bytes, bytes], None] | None = None) -> Png:
    """As `walk`, on a file that is open at its beginning. `see_text` gets type and data of each chunk that may contain
    text, and of a long one its first `MAX_TEXT` bytes."""
    if file.read(len(SIGNATURE)) != SIGNATURE:
        raise Damaged("not a PNG")
    kind, data = _chunk(file)
    size = _size(kind, data)
    texts: dict[str, str] = {}
    exif: bytes | None = None
    has_pixels = False
    frames = 1
    while kind != b"IEND":
        kind, data = _chunk(file)
        has_pixels |= kind == b"IDAT"
        if see_text is not None and kind in WORDS:
            see_text(kind, data)
        if kind == b"eXIf":
            # As in decoders: the first one counts, and none after the pixels.
            exif = data if exif is None and not has_pixels else exif
        elif kind == b"acTL" and not has_pixels and len(data) == _SIZE.size:
            frames = max(1, _SIZE.unpack(data)[0])
        elif kind in (b"tEXt", b"iTXt") and len(data) < MAX_TEXT:
            _keep_text(kind, data, texts)
    if not has_pixels:
        raise Damaged("the PNG holds no pixels")
    width, height = reversed(size) if _orientation(exif or b"") in QUARTER_TURNS else size
    return Png(width, height, texts.get("metadata"), texts.get("graph"), texts.get("workflow"), frames)


def _chunk(file: _Reader) -> tuple[bytes, bytes]:
    """The next chunk's type, and the first `MAX_TEXT` bytes of its data if they may matter."""
    at = file.tell()
    frame = file.read(_FRAME.size)
    if len(frame) < _FRAME.size:
        raise Damaged(f"the PNG ends at byte {at + len(frame)}, before its end chunk")
    length, kind = _FRAME.unpack(frame)
    kept = bytearray() if kind in KEPT else None
    checksum = zlib.crc32(kind)
    while length:
        piece = file.read(min(length, PIECE))
        if not piece:
            raise Damaged(f"the PNG is cut off inside the chunk at byte {at}")
        checksum = zlib.crc32(piece, checksum)
        length -= len(piece)
        if kept is not None and len(kept) < MAX_TEXT:
            kept += piece
    if file.read(_CRC.size) != _CRC.pack(checksum):
        raise Damaged(f"wrong or missing checksum of the chunk at byte {at} of the PNG")
    return kind, bytes(kept[:MAX_TEXT]) if kept else b""


def _size(kind: bytes, data: bytes) -> tuple[int, int]:
    if kind != b"IHDR" or len(data) != 13:
        raise Damaged("the PNG does not begin with its header")
    width, height = _SIZE.unpack_from(data)
    if width == 0 or height == 0:
        raise Damaged("the PNG has no size")
    return width, height


def _orientation(exif: bytes) -> int | None:
    """The orientation in the first directory of an Exif block, which has TIFF's layout; None if there is none."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        return None
    try:
        (at,) = struct.unpack_from(f"{order}I", exif, 4)
        (entries,) = struct.unpack_from(f"{order}H", exif, at)
        for entry in range(at + 2, at + 2 + 12 * entries, 12):
            tag, kind = struct.unpack_from(f"{order}HH", exif, entry)
            if tag == ORIENTATION:
                (value,) = struct.unpack_from(f"{order}{'I' if kind == LONG else 'H'}", exif, entry + 8)
                return int(value)
    except struct.error:
        pass
    return None


def _keep_text(kind: bytes, data: bytes, texts: dict[str, str]) -> None:
    """Keeps the first of each of InvokeAI's text chunks, uncompressed as InvokeAI writes them (FACTS §7)."""
    keyword, _, rest = data.partition(b"\0")
    name = TEXTS.get(keyword)
    if name is None or name in texts:
        return
    if kind == b"tEXt":
        texts[name] = rest.decode("latin-1")
        return
    compressed, text = rest[:1], rest[2:].split(b"\0", 2)
    if compressed == b"\0" and len(text) == 3:
        texts[name] = text[2].decode(errors="replace")
