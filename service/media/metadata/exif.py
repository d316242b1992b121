"""Reads texts and rating of Exif and TIFF directories (Exif 2.32 §4.6); both have the same layout."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import BinaryIO

from service.media.metadata.texts import Texts, loose_text
from service.media.metadata.xmp import read_xmp

Read = Callable[[int, int], bytes]
"""Reads bytes from an offset; fewer if the file ends."""

ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 6: 1, 7: 1, 13: 4}
"""Bytes of each type of value that is read."""
EXIF_DIRECTORY = 0x8769
XMP = 0x02BC
RATING = 0x4746
USER_COMMENT = 0x9286
TEXTS = {
    0x010E: "ImageDescription",
    0x010F: "Make",
    0x0110: "Model",
    0x0131: "Software",
    0x927C: "MakerNote",
    USER_COMMENT: "UserComment",
}
WIDE_TEXTS = {0x9C9B: "XPTitle", 0x9C9C: "XPComment", 0x9C9E: "XPKeywords", 0x9C9F: "XPSubject"}
"""Windows' own tags, in UTF-16."""
READ = {**TEXTS, **WIDE_TEXTS, XMP: "XMP"}
MAX_ENTRIES = 500
MAX_NOTE = 64
"""Bytes of a maker's note that may be text: Fooocus' is a word, cameras' are tables."""


def read_exif(data: bytes, texts: Texts) -> None:
    read_directories(lambda at, size: data[at : at + size], texts)


def read_tiff(file: BinaryIO, texts: Texts) -> None:
    def read(at: int, size: int) -> bytes:
        file.seek(at)
        return file.read(size)

    read_directories(read, texts)


def read_directories(read: Read, texts: Texts) -> None:
    """Reads the first directory, and Exif's own."""
    head = read(0, 8)
    order = ORDERS.get(head[:4])
    if order is None or len(head) < 8:
        return
    at: int | None = struct.unpack(f"{order}I", head[4:])[0]
    for _ in range(2):
        if at is None:
            return
        at = _read_directory(read, order, at, texts)


def _read_directory(read: Read, order: str, at: int, texts: Texts) -> int | None:
    """Reads a directory, and returns the offset of Exif's own directory."""
    exif_at = None
    for tag, kind, count, value in _entries(read, order, at):
        size = SIZES.get(kind, 0) * count
        if size == 0:
            continue
        if tag in (EXIF_DIRECTORY, RATING):
            number = struct.unpack(f"{order}H" if kind == 3 else f"{order}I", value[:2] if kind == 3 else value)[0]
            if tag == RATING:
                texts.rate(number)
            else:
                exif_at = number
        elif tag in READ and texts.wants(READ[tag]):
            room = min(size, texts.room)
            offset = struct.unpack(f"{order}I", value)[0]
            _keep(tag, value[:room] if size <= 4 else read(offset, room), order, texts)
    return exif_at


def _entries(read: Read, order: str, at: int) -> Iterator[tuple[int, int, int, bytes]]:
    """The entries: tag, type, number of values, and four bytes with the value or its offset."""
    head = read(at, 2)
    if len(head) < 2:
        return
    number = min(struct.unpack(f"{order}H", head)[0], MAX_ENTRIES)
    entries = read(at + 2, 12 * number)
    for start in range(0, len(entries) - 11, 12):
        yield *struct.unpack_from(f"{order}HHI", entries, start), entries[start + 8 : start + 12]


def _keep(tag: int, data: bytes, order: str, texts: Texts) -> None:
    if tag == XMP:
        read_xmp(data, texts)
    elif tag in WIDE_TEXTS:
        texts.add(WIDE_TEXTS[tag], data.decode("utf-16-le", errors="replace"))
    elif tag == USER_COMMENT:
        texts.add("UserComment", comment_text(data, order))
    elif TEXTS[tag] != "MakerNote" or len(data) <= MAX_NOTE:
        texts.add(TEXTS[tag], loose_text(data.rstrip(b"\0")))


def comment_text(data: bytes, order: str) -> str:
    """The text of a `UserComment`, whose first eight bytes name its code. UTF-16 should have the byte order of its
    block, but AUTOMATIC1111 always writes the most significant byte first."""
    code, text = data[:8], data[8:]
    if code == b"UNICODE\0":
        return _wide_text(text, order)
    if code in (b"ASCII\0\0\0", b"\0" * 8):
        return loose_text(text.rstrip(b"\0"))
    if code == b"JIS\0\0\0\0\0":
        return text.decode("iso2022_jp", errors="replace")
    return loose_text(data.rstrip(b"\0"))


def _wide_text(data: bytes, order: str) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace")
    if b"\0" not in data.rstrip(b"\0"):
        # UTF-8, by programs that change only the code.
        try:
            return data.decode()
        except UnicodeDecodeError:
            pass
    # Most texts about images have spaces, commas and digits: their high byte is zero.
    big, little = data[0::2].count(0), data[1::2].count(0)
    is_big = big > little or (big == little and order == ">")
    return data.decode("utf-16-be" if is_big else "utf-16-le", errors="replace")
