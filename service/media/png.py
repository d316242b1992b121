"""Whether a PNG is whole, by its chunks and their CRCs (PNG specification §5): decoders accept what was cut."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import BinaryIO, NamedTuple

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_FRAME = struct.Struct(">I4s")
_CRC = struct.Struct(">I")
_SIZE = struct.Struct(">II")
METADATA_KEYWORD = b"invokeai_metadata"
MAX_TEXT = 4 * 1024 * 1024
PIECE = 256 * 1024


class Damaged(Exception):
    """Not the whole file InvokeAI has, or not a picture at all; the message says what is wrong."""


class Png(NamedTuple):
    """What the walk saw: the size in pixels, and the text InvokeAI keeps inside (None when there is none)."""

    width: int
    height: int
    metadata: str | None


def walk(path: Path) -> Png:
    """Checks every chunk of the file. Raises `Damaged`; bytes after the end chunk are the owner's own and allowed."""
    with path.open("rb", buffering=PIECE) as file:
        if file.read(len(SIGNATURE)) != SIGNATURE:
            raise Damaged("not a PNG")
        kind, data = _chunk(file, keep=True)
        size = _size(kind, data)
        metadata: str | None = None
        has_pixels = False
        while kind != b"IEND":
            kind, data = _chunk(file, keep=metadata is None)
            has_pixels |= kind == b"IDAT"
            metadata = metadata or _metadata(kind, data)
    if not has_pixels:
        raise Damaged("the PNG holds no pixels")
    return Png(*size, metadata)


def _chunk(file: BinaryIO, *, keep: bool) -> tuple[bytes, bytes]:
    """The next chunk's kind, and its data where they may matter (header and text) and `keep` wants them."""
    at = file.tell()
    frame = file.read(_FRAME.size)
    if len(frame) < _FRAME.size:
        raise Damaged(f"the PNG ends at byte {at + len(frame)}, before its end chunk")
    length, kind = _FRAME.unpack(frame)
    kept = bytearray() if keep and kind in (b"IHDR", b"tEXt", b"iTXt") and length <= MAX_TEXT else None
    checksum = zlib.crc32(kind)
    while length:
        piece = file.read(min(length, PIECE))
        if not piece:
            raise Damaged(f"the PNG is cut off inside the chunk at byte {at}")
        checksum = zlib.crc32(piece, checksum)
        length -= len(piece)
        if kept is not None:
            kept += piece
    if file.read(_CRC.size) != _CRC.pack(checksum):
        raise Damaged(f"wrong or missing checksum of the chunk at byte {at} of the PNG")
    return kind, bytes(kept or b"")


def _size(kind: bytes, data: bytes) -> tuple[int, int]:
    if kind != b"IHDR" or len(data) != 13:
        raise Damaged("the PNG does not begin with its header")
    width, height = _SIZE.unpack_from(data)
    if width == 0 or height == 0:
        raise Damaged("the PNG has no size")
    return width, height


def _metadata(kind: bytes, data: bytes) -> str | None:
    """InvokeAI's own text chunk, uncompressed as InvokeAI writes it (FACTS §7)."""
    keyword, _, rest = data.partition(b"\0")
    if keyword != METADATA_KEYWORD or kind not in (b"tEXt", b"iTXt"):
        return None
    if kind == b"tEXt":
        return rest.decode("latin-1")
    compressed, text = rest[:1], rest[2:].split(b"\0", 2)
    return text[2].decode(errors="replace") if compressed == b"\0" and len(text) == 3 else None
