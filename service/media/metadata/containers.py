"""Reads the texts of image files, by file format. Pixels are never decoded; a damaged or cut file has fewer texts."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from service.media import regular
from service.media.metadata.exif import ORDERS, read_exif, read_tiff
from service.media.metadata.heif import is_heif, read_heif
from service.media.metadata.texts import Texts, inflated, loose_text
from service.media.metadata.xmp import read_xmp
from service.media.png import MAX_TEXT, SIGNATURE, WORDS

MAX_PARTS = 100_000
"""Chunks or segments of a file that are read."""
MAX_GIF_PARTS = 400_000
"""Blocks of a GIF, of 255 bytes at most."""
EXIF_HEAD = b"Exif\0\0"
XMP_HEAD = b"http://ns.adobe.com/xap/1.0/\0"
MAX_KEYWORD = 79
XMP_NAME = b"XML:com.adobe.xmp"
GIF_XMP = b"XMP DataXMP"


def read_texts(path: Path) -> Texts:
    """The texts of the file. Raises `OSError` and nothing else."""
    texts = Texts()
    with regular.open_file(path) as file:
        head = file.read(16)
        if head.startswith(SIGNATURE):
            _read_png(file, texts)
        elif head.startswith(b"\xff\xd8"):
            _read_jpeg(file, texts)
        elif head.startswith(b"RIFF") and head[8:12] == b"WEBP":
            _read_webp(file, texts)
        elif head.startswith((b"GIF87a", b"GIF89a")):
            _read_gif(file, texts)
        elif head[:4] in ORDERS:
            read_tiff(file, texts)
        elif is_heif(head):
            read_heif(file, texts)
    return texts


def _read_png(file: BinaryIO, texts: Texts) -> None:
    for kind, size in _chunks(file, len(SIGNATURE), ">I4s", padding=4):
        if kind == b"IEND":
            return
        if kind in WORDS:
            keep_png_text(kind, file.read(min(size, MAX_TEXT)), texts)


def keep_png_text(kind: bytes, data: bytes, texts: Texts) -> None:
    """Keeps the text of a chunk whose type is in `WORDS`."""
    if kind == b"eXIf":
        if texts.wants("Exif"):
            read_exif(data.removeprefix(EXIF_HEAD), texts)
        return
    keyword, _, rest = data.partition(b"\0")
    name = "XMP" if keyword == XMP_NAME else keyword[:MAX_KEYWORD].decode("latin-1")
    if not texts.wants(name):
        return
    if kind == b"zTXt":
        text = inflated(rest[1:], texts.room)
    elif kind == b"iTXt":
        parts = rest[2:].split(b"\0", 2)
        if len(parts) < 3:
            return
        text = inflated(parts[2], texts.room) if rest[:1] == b"\1" else parts[2]
    else:
        # ComfyUI's `comf`, of animations, has the layout of `tEXt`.
        text = rest
    if name == "XMP":
        read_xmp(text, texts)
    else:
        texts.add(name, loose_text(text))


def _read_jpeg(file: BinaryIO, texts: Texts) -> None:
    at = 2
    for _ in range(MAX_PARTS):
        file.seek(at)
        head = file.read(4)
        if len(head) < 4 or head[0] != 0xFF or head[1] in (0xD9, 0xDA):
            return
        if head[1] == 0xFF or head[1] == 0x01 or 0xD0 <= head[1] <= 0xD8:
            # A fill byte, or a marker without data.
            at += 1 if head[1] == 0xFF else 2
            continue
        size = int.from_bytes(head[2:])
        if head[1] in (0xE1, 0xFE) and size >= 2:
            data = file.read(size - 2)
            if head[1] == 0xFE and texts.wants("comment"):
                texts.add("comment", loose_text(data))
            elif data.startswith(EXIF_HEAD) and texts.wants("Exif"):
                read_exif(data.removeprefix(EXIF_HEAD), texts)
            elif data.startswith(XMP_HEAD) and texts.wants("XMP"):
                read_xmp(data.removeprefix(XMP_HEAD), texts)
        at += 2 + size


def _read_webp(file: BinaryIO, texts: Texts) -> None:
    for kind, size in _chunks(file, 12, "<4sI", padding=0):
        if kind == b"EXIF" and texts.wants("Exif"):
            read_exif(file.read(min(size, MAX_TEXT)).removeprefix(EXIF_HEAD), texts)
        elif kind == b"XMP " and texts.wants("XMP"):
            read_xmp(file.read(min(size, MAX_TEXT)), texts)


def _chunks(file: BinaryIO, at: int, layout: str, padding: int) -> Iterator[tuple[bytes, int]]:
    """Type and size of each chunk, with the file at its data. RIFF's have an even number of bytes."""
    is_riff = layout == "<4sI"
    for _ in range(MAX_PARTS):
        file.seek(at)
        head = file.read(8)
        if len(head) < 8:
            return
        first, second = struct.unpack(layout, head)
        kind, size = (first, second) if is_riff else (second, first)
        yield kind, size
        at += 8 + size + padding + (size & 1 if is_riff else 0)


def _read_gif(file: BinaryIO, texts: Texts) -> None:
    """Comments and XMP of a GIF."""
    file.seek(10)
    file.seek(13 + _colours(file.read(1)))
    parts = iter(range(MAX_GIF_PARTS))
    for _ in parts:
        kind = file.read(1)
        if kind == b",":
            descriptor = file.read(9)
            file.seek(_colours(descriptor[8:]) + 1, 1)
            _sub_blocks(file, 0, parts)
        elif kind == b"!":
            label = file.read(1)
            is_comment = label == b"\xfe" and texts.wants("comment")
            data = _sub_blocks(file, MAX_TEXT if is_comment or label == b"\xff" else 0, parts)
            if is_comment:
                texts.add("comment", loose_text(data))
            elif data.startswith(GIF_XMP) and texts.wants("XMP"):
                read_xmp(data.removeprefix(GIF_XMP), texts)
        else:
            return


def _colours(flags: bytes) -> int:
    """Bytes of a table of colours."""
    return 3 << ((flags[0] & 7) + 1) if flags and flags[0] & 0x80 else 0


def _sub_blocks(file: BinaryIO, limit: int, parts: Iterator[int]) -> bytes:
    """The data of sub-blocks, up to a limit."""
    kept = bytearray()
    for _ in parts:
        size = file.read(1)
        if size in (b"", b"\0"):
            break
        data = file.read(size[0])
        if len(kept) < limit:
            kept += data
    return bytes(kept[:limit])
