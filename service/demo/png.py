"""Pixels to PNG and JPEG with libvips, and the text chunks InvokeAI writes into its PNGs (FACTS §7)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping

import numpy as np
import pyvips

Pixels = np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER_END = len(SIGNATURE) + 25  # after IHDR: length, type, 13 bytes, CRC


def to_vips(pixels: Pixels) -> pyvips.Image:
    height, width, bands = pixels.shape
    return pyvips.Image.new_from_memory(pixels.tobytes(), width, height, bands, "uchar").copy(interpretation="srgb")


def to_pixels(image: pyvips.Image) -> Pixels:
    flat = image.colourspace("srgb").cast("uchar")
    return np.frombuffer(flat.write_to_memory(), np.uint8).reshape(flat.height, flat.width, flat.bands)


def decode(data: bytes) -> Pixels:
    """The picture in any format libvips reads, as 8-bit RGB or RGBA; pyvips.Error if it is not one. It is not turned,
    and its colour profile is ignored, as by InvokeAI (FACTS §7)."""
    image = pyvips.Image.new_from_buffer(data, "")
    return to_pixels(image if image.bands >= 3 else image.colourspace("srgb"))


def encode_png(pixels: Pixels, texts: Mapping[str, str]) -> bytes:
    """A PNG with one text chunk for each of `texts`, straight after its header."""
    plain: bytes = to_vips(pixels).pngsave_buffer(compression=1, filter="sub", keep="none")
    chunks = b"".join(_text_chunk(key, value) for key, value in texts.items())
    return plain[:_HEADER_END] + chunks + plain[_HEADER_END:]


def encode_jpeg(pixels: Pixels) -> bytes:
    data: bytes = to_vips(pixels).jpegsave_buffer(Q=75, keep="none")
    return data


def filling(pixels: Pixels, width: int, height: int) -> Pixels:
    """RGB of that size; of another shape, its middle."""
    return to_pixels(to_vips(pixels[..., :3]).thumbnail_image(width, height=height, crop="centre"))


def blurred(pixels: Pixels, radius: float) -> Pixels:
    return to_pixels(to_vips(pixels).gaussblur(radius)) if radius > 0.2 else pixels


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _text_chunk(key: str, value: str) -> bytes:
    """tEXt where Latin-1 holds the text, else iTXt: as Pillow does, which InvokeAI uses."""
    try:
        return chunk(b"tEXt", key.encode() + b"\0" + value.encode("latin-1"))
    except UnicodeEncodeError:
        return chunk(b"iTXt", key.encode() + b"\0\0\0\0\0" + value.encode())
