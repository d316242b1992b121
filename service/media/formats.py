"""The format of an image file by its first bytes, and whether its structure is whole.

Decoders accept much of what was cut.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from service.media import png, regular
from service.media.png import Damaged, Png

HEAD: Final = 512
"""Bytes at the beginning of a file that tell its format."""
PIECE: Final = 256 * 1024


class UnsupportedFormat(Exception):
    """The file is no image, or not of a supported format; the message says what it is."""


class TooManyFrames(Exception):
    """The image has more frames or pages than are allowed; nothing was decoded."""


class Format(NamedTuple):
    name: str
    mime_type: str
    extension: str
    loader: str
    """The name of libvips' loader, with another suffix for each kind of source."""


PNG: Final = Format("PNG", "image/png", ".png", "pngload")
JPEG: Final = Format("JPEG", "image/jpeg", ".jpg", "jpegload")
WEBP: Final = Format("WebP", "image/webp", ".webp", "webpload")
AVIF: Final = Format("AVIF", "image/avif", ".avif", "heifload")
GIF: Final = Format("GIF", "image/gif", ".gif", "gifload")
TIFF: Final = Format("TIFF", "image/tiff", ".tiff", "tiffload")

TAKEN: Final = "PNG, JPEG, WebP, AVIF, GIF and TIFF pictures can be uploaded"
HEIC_BRANDS: Final = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})
AVIF_BRANDS: Final = frozenset({b"avif", b"avis"})
MARKUP: Final = ((b"<svg", "an SVG drawing"), (b"<html", "an HTML page"), (b"<!doctype html", "an HTML page"))
OTHERS: Final = (
    (b"%PDF", "a PDF document"),
    (b"\xff\x0a", "a JPEG XL picture"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL picture"),
    (b"8BPS", "a Photoshop file"),
    (b"BM", "a BMP picture"),
    (b"PK\3\4", "a ZIP archive"),
)


class Structure(NamedTuple):
    """What the structure of a whole file tells. `png` is from the walk over a PNG."""

    format: Format
    frames: int
    png: Png | None = None


def identify(head: bytes) -> Format:
    """The format by the first bytes, at most `HEAD` of them. Raises `UnsupportedFormat`."""
    if head.startswith(png.SIGNATURE):
        return PNG
    if head.startswith(b"\xff\xd8\xff"):
        return JPEG
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return WEBP
    if head.startswith((b"GIF87a", b"GIF89a")):
        return GIF
    if head.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return TIFF
    if head[4:8] == b"ftyp" and _brands(head) & AVIF_BRANDS:
        return AVIF
    raise UnsupportedFormat(f"{_what_it_is(head)}: {TAKEN}")


def require_kind_of_thumbnails(path: Path) -> None:
    """Raises `UnsupportedFormat` for a format that servers do not use for thumbnails: no server reaches other decoders.
    Raises `OSError`."""
    with regular.open_file(path) as file:
        if identify(file.read(HEAD)) not in (WEBP, JPEG, PNG):
            raise UnsupportedFormat("this is no kind that thumbnails have")


def check_structure(
    path: Path, max_frames: int, see_png_text: Callable[[bytes, bytes], None] | None = None
) -> Structure:
    """Walks over the file (blocks). `see_png_text` gets a PNG's texts (`png.walk_open`). Raises `UnsupportedFormat`,
    `Damaged`, `TooManyFrames` and `OSError`."""
    with regular.open_file(path, PIECE) as file:
        kind = identify(file.read(HEAD))
        size = file.seek(0, 2)
        file.seek(0)
        if kind is PNG:
            walked = png.walk_open(file, see_png_text)
            return Structure(kind, _bounded(walked.frames, max_frames), walked)
        if kind is GIF:
            return Structure(kind, _bounded(_gif_frames(file), max_frames))
        if kind is TIFF:
            return Structure(kind, _tiff_pages(file, size, max_frames))
        if kind is WEBP:
            return Structure(kind, _bounded(_webp_frames(file, size), max_frames))
        if kind is AVIF:
            _walk_boxes(file, size)
        return Structure(kind, 1)


def _bounded(frames: int, max_frames: int) -> int:
    if frames > max_frames:
        raise TooManyFrames(f"it has {frames} frames, and at most {max_frames} are taken")
    return frames


def _brands(head: bytes) -> set[bytes]:
    """The brands of an ISO base media file (ISO 14496-12 §4.3): the major one and the compatible ones."""
    end = min(int.from_bytes(head[:4], "big"), len(head))
    return {head[8:12], *(head[at : at + 4] for at in range(16, end - 3, 4))}


def _what_it_is(head: bytes) -> str:
    if not head:
        return "the file is empty"
    if head[4:8] == b"ftyp":
        brands = _brands(head)
        heic = brands & HEIC_BRANDS or brands & {b"mif1", b"msf1"}
        return "this is a HEIC picture, which Darkroom cannot decode" if heic else "this is a video"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for mark, words in MARKUP:
        if mark in text and text.startswith(b"<"):
            return f"this is {words}"
    for mark, words in OTHERS:
        if head.startswith(mark):
            return f"this is {words}"
    return "this is not a picture of a kind that Darkroom knows"


# --- GIF (GIF89a specification, appendix A) ---


def _gif_frames(file: BinaryIO) -> int:
    header = _exactly(file, 13, "GIF")
    _skip_colours(file, header[10])
    frames = 0
    while (kind := _exactly(file, 1, "GIF")) != b";":
        if kind == b",":
            frames += 1
            _skip_colours(file, _exactly(file, 9, "GIF")[8])
            _exactly(file, 1, "GIF")
        elif kind == b"!":
            _exactly(file, 1, "GIF")
        else:
            raise Damaged(f"the GIF has something else than a block at byte {file.tell() - 1}")
        while length := _exactly(file, 1, "GIF")[0]:
            _exactly(file, length, "GIF")
    if not frames:
        raise Damaged("the GIF holds no pixels")
    return frames


def _skip_colours(file: BinaryIO, flags: int) -> None:
    if flags & 0x80:
        _exactly(file, 3 << (flags & 7) + 1, "GIF")


# --- WebP (RFC 9649) ---


def _webp_frames(file: BinaryIO, size: int) -> int:
    """The number of frames; 1 for a still image."""
    (length,) = struct.unpack("<4xI4x", _exactly(file, 12, "WebP"))
    end = length + 8
    if end > size:
        raise Damaged(f"the WebP is cut off: it has {size} bytes of {end}")
    frames = 0
    at = 12
    while at + 8 <= end:
        file.seek(at)
        kind, length = struct.unpack("<4sI", _exactly(file, 8, "WebP"))
        frames += kind == b"ANMF"
        at += 8 + length + (length & 1)
    if at > end + 1:
        raise Damaged("the WebP is cut off inside of a chunk")
    return max(1, frames)


# --- AVIF (ISO 14496-12 §4.2) ---


def _walk_boxes(file: BinaryIO, size: int) -> None:
    at = 0
    while at < size:
        file.seek(at)
        length, kind = struct.unpack(">I4s", _exactly(file, 8, "AVIF"))
        if length == 1:
            (length,) = struct.unpack(">Q", _exactly(file, 8, "AVIF"))
        elif length == 0 and at:
            return
        if length < 8 or at + length > size:
            raise Damaged(f"the AVIF is cut off inside of its {kind.decode('latin-1')!r} box")
        at += length


# --- TIFF (TIFF 6.0 §2, BigTIFF) ---

SIZES: Final = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
INTEGERS: Final = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
OFFSETS, COUNTS = (273, 324), (279, 325)
"""Tags of the offsets of strips and tiles, and of their byte counts."""
MOST_VALUES: Final = 10_000_000


def _tiff_pages(file: BinaryIO, size: int, max_frames: int) -> int:
    """Follows the directories, and checks that everything they point to is in the file."""
    head = _exactly(file, 16, "TIFF")
    order = "<" if head[:2] == b"II" else ">"
    is_big = head[2:4] in (b"+\0", b"\0+")
    (at,) = struct.unpack_from(f"{order}Q", head, 8) if is_big else struct.unpack_from(f"{order}I", head, 4)
    seen: set[int] = set()
    while at:
        if at in seen:
            raise Damaged("the TIFF's directories form a ring")
        seen.add(at)
        if len(seen) > max_frames:
            raise TooManyFrames(f"it has more than {max_frames} pages")
        at = _directory(file, size, at, order, is_big)
    if not seen:
        raise Damaged("the TIFF holds no pixels")
    return len(seen)


def _directory(file: BinaryIO, size: int, at: int, order: str, is_big: bool) -> int:
    """The offset of the next directory; 0 after the last."""
    count_code, entry_size, inline, number = ("Q", 20, 8, "Q") if is_big else ("H", 12, 4, "I")
    file.seek(at)
    (count,) = struct.unpack(order + count_code, _exactly(file, struct.calcsize(order + count_code), "TIFF"))
    if count * entry_size > size:
        raise Damaged("the TIFF is cut off inside of its directory")
    entries = _exactly(file, count * entry_size, "TIFF")
    (following,) = struct.unpack(order + number, _exactly(file, inline, "TIFF"))
    extents: dict[int, list[int]] = {}
    for start in range(0, len(entries), entry_size):
        tag, kind = struct.unpack_from(f"{order}HH", entries, start)
        (values,) = struct.unpack_from(order + number, entries, start + 4)
        length = values * SIZES.get(kind, 1)
        field = start + 4 + inline
        (place,) = struct.unpack_from(order + number, entries, field)
        if length > inline and place + length > size:
            raise Damaged("the TIFF is cut off: what its directory points to is missing")
        if tag in OFFSETS + COUNTS and kind in INTEGERS and values <= MOST_VALUES:
            if length > inline:
                file.seek(place)
                content = _exactly(file, length, "TIFF")
            else:
                content = entries[field : field + length]
            extents[tag] = list(struct.unpack(f"{order}{values}{INTEGERS[kind]}", content))
    for begins, lengths in zip(OFFSETS, COUNTS, strict=True):
        for begin, length in zip(extents.get(begins, ()), extents.get(lengths, ()), strict=False):
            if begin + length > size:
                raise Damaged(f"the TIFF is cut off: it has {size} bytes of at least {begin + length}")
    return int(following)


def _exactly(file: BinaryIO, size: int, name: str) -> bytes:
    content = file.read(size)
    if len(content) < size:
        raise Damaged(f"the {name} is cut off: it ends at byte {file.tell()}")
    return content
