"""Files with texts where each kind of file has them: whole pictures, for what is uploaded, and bare containers."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyvips

from service.demo.png import chunk, encode_png
from service.media.metadata.read import Found, read
from service.media.png import SIGNATURE

UPLOADS = Path(__file__).parent.parent / "uploads"
USER_COMMENT = 0x9286
PIXELS = np.full((64, 96, 3), 128, np.uint8)


def text_chunk(name: str, text: str) -> bytes:
    return chunk(b"tEXt", name.encode() + b"\0" + text.encode("latin-1"))


def compressed_chunk(name: str, text: bytes) -> bytes:
    return chunk(b"zTXt", name.encode() + b"\0\0" + zlib.compress(text))


def wide_chunk(name: str, text: bytes, *, compressed: bool = False) -> bytes:
    body = zlib.compress(text) if compressed else text
    return chunk(b"iTXt", name.encode() + b"\0" + bytes([compressed]) + b"\0en\0\0" + body)


def png_with(*chunks: bytes) -> bytes:
    """A whole PNG with these chunks behind its header."""
    whole = encode_png(PIXELS, {})
    end = len(SIGNATURE) + 25
    return whole[:end] + b"".join(chunks) + whole[end:]


def png_texts(texts: Mapping[str, str]) -> bytes:
    return encode_png(PIXELS, texts)


def exif(
    main: Mapping[int, bytes] | None = None, own: Mapping[int, bytes] | None = None, *, order: str = ">", kind: int = 2
) -> bytes:
    """A block of two directories: the main one, and Exif's own. Values are of one type, text by default."""
    main, own = dict(main or {}), dict(own or {})
    head = (b"MM\0*" if order == ">" else b"II*\0") + struct.pack(f"{order}I", 8)
    own_at = 8 + _size(len(main) + 1)
    data_at = own_at + _size(len(own))
    data = b""
    directories = b""
    for entries, pointer in ((main, True), (own, False)):
        directories += struct.pack(f"{order}H", len(entries) + pointer)
        for tag, value in sorted(entries.items()):
            field_kind = 7 if tag == USER_COMMENT else kind
            place = value.ljust(4, b"\0") if len(value) <= 4 else struct.pack(f"{order}I", data_at + len(data))
            directories += struct.pack(f"{order}HHI", tag, field_kind, len(value)) + place
            data += value if len(value) > 4 else b""
        if pointer:
            directories += struct.pack(f"{order}HHII", 0x8769, 4, 1, own_at)
        directories += bytes(4)
    return head + directories + data


def _size(entries: int) -> int:
    return 2 + 12 * entries + 4


def user_comment(text: str, *, order: str = ">", written: str | None = None) -> bytes:
    """A block with a comment in UTF-16; `written` is its byte order where that is not the block's."""
    code = "utf-16-be" if (written or order) == ">" else "utf-16-le"
    return exif(own={USER_COMMENT: b"UNICODE\0" + text.encode(code)}, order=order)


def jpeg_segment(marker: int, data: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


def jpeg_with(*segments: bytes) -> bytes:
    whole: bytes = _picture().jpegsave_buffer(keep="none")
    return whole[:2] + b"".join(segments) + whole[2:]


def jpeg_exif(block: bytes) -> bytes:
    return jpeg_with(jpeg_segment(0xE1, b"Exif\0\0" + block))


def webp_with(**chunks: bytes) -> bytes:
    """`EXIF` and `XMP` of a WebP."""
    whole: bytes = _picture().webpsave_buffer(keep="none")
    extended = _riff(b"VP8X", struct.pack("<I", 0x0C) + (95).to_bytes(3, "little") + (63).to_bytes(3, "little"))
    told = b"".join(_riff(name.encode().ljust(4), data) for name, data in chunks.items())
    body = b"WEBP" + extended + whole[12:] + told
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _riff(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def saved_with(suffix: str, **fields: bytes) -> bytes:
    """A picture as libvips writes it, with `exif-data` or `xmp-data`."""
    image = _picture().copy()
    for name, data in fields.items():
        image.set_type(pyvips.GValue.blob_type, name.replace("_", "-"), data)
    content: bytes = image.write_to_buffer(suffix)
    return content


def tiff_with(description: str) -> bytes:
    image = _picture().copy()
    image.set_type(pyvips.GValue.gstr_type, "image-description", description)
    content: bytes = image.write_to_buffer(".tif")
    return content


def gif_with(*comments: str) -> bytes:
    whole: bytes = _picture().gifsave_buffer()
    parts = b""
    for comment in comments:
        data = comment.encode()
        pieces = [data[at : at + 255] for at in range(0, len(data), 255)]
        parts += b"!\xfe" + b"".join(bytes([len(piece)]) + piece for piece in pieces) + b"\0"
    return whole[:-1] + parts + b";"


def _picture() -> pyvips.Image:
    return pyvips.Image.new_from_array(PIXELS, interpretation="srgb")


def read_bytes(folder: Path, content: bytes) -> Found:
    file = folder / "upload"
    file.write_bytes(content)
    return read(file)
