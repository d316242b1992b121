"""Reads Exif and XMP of AVIF and HEIF: items of the `meta` box (ISO 23008-12 §6, ISO 14496-12 §8.11)."""

from __future__ import annotations

from collections.abc import Iterator
from os import SEEK_END
from typing import BinaryIO, NamedTuple

from service.media.metadata.exif import read_exif
from service.media.metadata.texts import Texts
from service.media.metadata.xmp import read_xmp
from service.media.png import MAX_TEXT

MAX_BOXES = 100
MAX_META = 1024 * 1024
"""Bytes of the `meta` box that are read: it lists the items, and seldom has their data."""
MAX_ITEMS = 1_000


class _Place(NamedTuple):
    offset: int
    length: int
    is_in_box: bool
    """Whether it is in `idat` of the `meta` box, not in the file."""


def is_heif(head: bytes) -> bool:
    return head[4:8] == b"ftyp"


def read_heif(file: BinaryIO, texts: Texts) -> None:
    end = file.seek(0, SEEK_END)
    meta = _meta(file, end)
    boxes = dict(_boxes(meta[4:]))
    wanted = dict(_items(boxes.get(b"iinf", b"")))
    places = _places(boxes.get(b"iloc", b""), wanted) if wanted else {}
    for item, place in places.items():
        if not texts.wants("Exif" if wanted[item] == b"Exif" else "XMP"):
            continue
        if place.is_in_box:
            data = boxes.get(b"idat", b"")[place.offset : place.offset + min(place.length, MAX_TEXT)]
        elif place.offset < end:
            file.seek(place.offset)
            data = file.read(min(place.length, MAX_TEXT))
        else:
            continue
        if wanted[item] == b"Exif":
            # The offset of the TIFF header comes first.
            read_exif(data[4 + int.from_bytes(data[:4]) :], texts)
        else:
            read_xmp(data, texts)


def _meta(file: BinaryIO, end: int) -> bytes:
    at = 0
    for _ in range(MAX_BOXES):
        file.seek(at)
        head = file.read(16)
        size = int.from_bytes(head[:4])
        start = 8
        if size == 1:
            size, start = int.from_bytes(head[8:16]), 16
        if head[4:8] == b"meta":
            file.seek(at + start)
            return file.read(min(max(0, size - start), MAX_META))
        if size < start or at + size >= end:
            break
        at += size
    return b""


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    for _ in range(MAX_BOXES):
        size = int.from_bytes(data[at : at + 4])
        if size < 8:
            return
        yield data[at + 4 : at + 8], data[at + 8 : at + size]
        at += size


def _items(iinf: bytes) -> Iterator[tuple[int, bytes]]:
    """Ids of the items that are Exif or XMP."""
    entries = iinf[4 + (2 if iinf[:1] == b"\0" else 4) :]
    at = 0
    for _ in range(MAX_ITEMS):
        size = int.from_bytes(entries[at : at + 4])
        if size < 8:
            return
        infe = entries[at + 8 : at + size]
        at += size
        width = 2 if infe[:1] == b"\2" else 4
        kind = infe[6 + width : 10 + width]
        is_xmp = kind == b"mime" and b"application/rdf+xml" in infe[10 + width :]
        if infe[:1] in (b"\2", b"\3") and (kind == b"Exif" or is_xmp):
            yield int.from_bytes(infe[4 : 4 + width]), kind


def _places(iloc: bytes, wanted: dict[int, bytes]) -> dict[int, _Place]:
    """The places of these items; for one in several pieces the first."""
    version = iloc[0] if iloc else 3
    if version > 2 or len(iloc) < 8:
        return {}
    offset_size, length_size, base_size = iloc[4] >> 4, iloc[4] & 15, iloc[5] >> 4
    index_size = iloc[5] & 15 if version else 0
    id_size = 4 if version == 2 else 2
    fields = _Fields(iloc, 6)
    found = {}
    for _ in range(min(fields.next(id_size), MAX_ITEMS)):
        item = fields.next(id_size)
        method = fields.next(2) & 15 if version else 0
        fields.next(2)
        base = fields.next(base_size)
        extents = fields.next(2)
        if extents == 0:
            continue
        fields.next(index_size)
        offset, length = fields.next(offset_size), fields.next(length_size)
        fields.at += (extents - 1) * (index_size + offset_size + length_size)
        if item in wanted and method in (0, 1):
            found[item] = _Place(base + offset, length, method == 1)
    return found


class _Fields:
    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self.at = at

    def next(self, size: int) -> int:
        """The next number; 0 after the end."""
        value = int.from_bytes(self._data[self.at : self.at + size])
        self.at += size
        return value
