"""Files that people upload, beside those in `tests/uploads`: the same four quarters of 96 x 64 pixels, whose colours
tell how a picture was turned and converted (red, green, blue, white)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyvips

FOLDER = Path(__file__).parent.parent / "uploads"
RED, GREEN, BLUE, WHITE = (220, 30, 30), (30, 200, 30), (30, 30, 220), (240, 240, 240)
END = b"\0\0\0\0IEND\xaeB`\x82"


def sample(name: str) -> bytes:
    return (FOLDER / name).read_bytes()


def quarters(width: int = 96, height: int = 64) -> pyvips.Image:
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2], pixels[: height // 2, width // 2 :] = RED, GREEN
    pixels[height // 2 :, : width // 2], pixels[height // 2 :, width // 2 :] = BLUE, WHITE
    return pyvips.Image.new_from_array(pixels, interpretation="srgb")


def saved(image: pyvips.Image, ending: str, **options: Any) -> bytes:
    content: bytes = image.write_to_buffer(ending, **options)
    return content


def turned_jpeg(orientation: int) -> bytes:
    image = quarters().copy()
    image.set_type(pyvips.GValue.gint_type, "orientation", orientation)
    return saved(image, ".jpg", Q=95)


def animation(frames: int, ending: str, width: int = 96, height: int = 64) -> bytes:
    """The first frame has the quarters; the others are grey."""
    grey = pyvips.Image.black(width, height, bands=3).copy(interpretation="srgb")
    images = [quarters(width, height), *(grey + number % 200 for number in range(1, frames))]
    joined = pyvips.Image.arrayjoin([image.cast("uchar") for image in images], across=1).copy()
    joined.set_type(pyvips.GValue.gint_type, "page-height", height)
    joined.set_type(pyvips.GValue.array_int_type, "delay", [50] * frames)
    return saved(joined, ending)


def gif_of(frames: int) -> bytes:
    """As many frames as are wanted, of one pixel each but the first."""
    head = b"GIF89a" + struct.pack("<HHBBB", 2, 2, 0x80, 0, 0) + bytes((220, 30, 30, 240, 240, 240))
    whole = b"," + struct.pack("<HHHHB", 0, 0, 2, 2, 0) + b"\2\3\x84\x51\0\0"
    return head + whole * frames + b";"


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_with(*chunks: bytes) -> bytes:
    """The quarters, with these chunks behind the header."""
    plain = saved(quarters(), ".png", keep="none")
    return plain[:33] + b"".join(chunks) + plain[33:]


def png_header(width: int, height: int) -> bytes:
    """Nothing behind the header is as large as it says."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + END


def heic() -> bytes:
    """The head of a HEIC picture, which nothing here can decode."""
    return struct.pack(">I", 24) + b"ftypheic\0\0\0\0mif1heic" + struct.pack(">I4s", 8, b"mdat")


def with_profile(image: pyvips.Image, ending: str, profile: bytes | str) -> bytes:
    image = image.copy()
    if isinstance(profile, bytes):
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
        return saved(image, ending)
    return saved(image, ending, profile=profile)


def pages(count: int) -> bytes:
    """A TIFF of so many pages."""
    return animation(count, ".tif", 16, 16)


def of_every_kind() -> dict[str, Callable[[], bytes]]:
    """A whole file of each kind that is taken."""
    return {
        "png": lambda: saved(quarters(), ".png"),
        "jpeg": lambda: saved(quarters(), ".jpg", Q=95),
        "webp": lambda: saved(quarters(), ".webp", Q=95),
        "avif": lambda: sample("avif.avif"),
        "gif": lambda: animation(3, ".gif"),
        "tiff": lambda: saved(quarters(), ".tif"),
    }
