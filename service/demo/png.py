"""Pixels to PNG, JPEG and WebP with libvips, and the text chunks InvokeAI writes into its PNGs (FACTS §7)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping

import numpy as np
import pyvips

Pixels = np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER_END = len(SIGNATURE) + 25  # after IHDR: length, type, 13 bytes, CRC
_THUMBNAIL_SIDE = 256


def to_vips(pixels: Pixels) -> pyvips.Image:
    height, width, bands = pixels.shape
    return pyvips.Image.new_from_memory(pixels.tobytes(), width, height, bands, "uchar").copy(interpretation="srgb")


def to_pixels(image: pyvips.Image) -> Pixels:
    flat = image.colourspace("srgb").cast("uchar")
    return np.frombuffer(flat.write_to_memory(), np.uint8).reshape(flat.height, flat.width, flat.bands)


def decode(data: bytes) -> Pixels:
    """The picture in any format libvips reads, as 8-bit RGB or RGBA; pyvips.Error if it is not one."""
    image = pyvips.Image.new_from_buffer(data, "").autorot()
    return to_pixels(image if image.bands >= 3 else image.colourspace("srgb"))


def encode_png(pixels: Pixels, texts: Mapping[str, str]) -> bytes:
    """A PNG with one text chunk for each of `texts`, straight after its header."""
    plain: bytes = to_vips(pixels).pngsave_buffer(compression=1, filter="sub", keep="none")
    chunks = b"".join(_text_chunk(key, value) for key, value in texts.items())
    return plain[:_HEADER_END] + chunks + plain[_HEADER_END:]


def encode_jpeg(pixels: Pixels) -> bytes:
    data: bytes = to_vips(pixels).jpegsave_buffer(Q=75, keep="none")
    return data


def blurred(pixels: Pixels, radius: float) -> Pixels:
    return to_pixels(to_vips(pixels).gaussblur(radius)) if radius > 0.2 else pixels


def thumbnail(pixels: Pixels) -> bytes:
    """WebP, at most 256 on the longer side, never enlarged."""
    image = to_vips(pixels)
    if max(image.width, image.height) > _THUMBNAIL_SIDE:
        image = image.thumbnail_image(_THUMBNAIL_SIDE, height=_THUMBNAIL_SIDE, size="down")
    data: bytes = image.webpsave_buffer(Q=80, keep="none")
    return data


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _text_chunk(key: str, value: str) -> bytes:
    """tEXt where Latin-1 holds the text, else iTXt: as Pillow, hence InvokeAI, does."""
    try:
        return chunk(b"tEXt", key.encode() + b"\0" + value.encode("latin-1"))
    except UnicodeEncodeError:
        return chunk(b"iTXt", key.encode() + b"\0\0\0\0\0" + value.encode())


def read_texts(png: bytes) -> dict[str, str]:
    """The uncompressed text chunks that stand before the pixels; nothing for what is not a PNG."""
    texts: dict[str, str] = {}
    position = len(SIGNATURE)
    while png.startswith(SIGNATURE) and position + 8 <= len(png):
        length, kind = struct.unpack(">I4s", png[position : position + 8])
        body = png[position + 8 : position + 8 + length]
        position += length + 12
        if kind == b"IDAT":
            break
        if kind == b"tEXt":
            key, _, value = body.partition(b"\0")
            texts[key.decode("latin-1")] = value.decode("latin-1")
        elif kind == b"iTXt":
            key, _, rest = body.partition(b"\0")
            texts[key.decode("latin-1")] = rest[2:].split(b"\0", 2)[2].decode()
    return texts
