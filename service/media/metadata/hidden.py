"""Reads texts from the lowest bits of a PNG's alpha channel, column after column.

NovelAI and some extensions of AUTOMATIC1111 hide them there: they stay when a site removes all text chunks.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pyvips

from service.media import regular
from service.media.metadata.json_text import decode_table
from service.media.metadata.texts import Texts, inflated
from service.media.png import SIGNATURE

PLAIN = b"stealth_pnginfo"
COMPRESSED = b"stealth_pngcomp"
HEAD_BITS = 8 * (len(PLAIN) + 4)
"""The mark, and the number of bits that follow."""
HEADER = struct.Struct(">8x8xIIBBBBB")
MAX_PIXELS = 16_000_000
GZIP = 16 + 15
RGBA = 6


def read_hidden(path: Path, texts: Texts) -> bool:
    """Reads the texts; False if there are none. The whole image is decoded only if the mark is there."""
    with regular.open_file(path) as file:
        head = file.read(HEADER.size)
    if len(head) < HEADER.size or not head.startswith(SIGNATURE):
        return False
    width, height, depth, colours, _, _, interlaced = HEADER.unpack(head)
    # No part of an interlaced image is cheap.
    if (depth, colours, interlaced) != (8, RGBA, 0) or not 0 < width * height <= MAX_PIXELS:
        return False
    columns = min(width, -(-HEAD_BITS // height))
    mark = _bytes(path, columns, min(height, HEAD_BITS))[: HEAD_BITS // 8]
    if not mark.startswith((PLAIN, COMPRESSED)) or len(mark) < HEAD_BITS // 8:
        return False
    end = len(mark) + int.from_bytes(mark[len(PLAIN) :]) // 8
    hidden = _bytes(path, width, height)[len(mark) : end]
    text = inflated(hidden, texts.room, GZIP) if mark.startswith(COMPRESSED) else hidden
    return _keep(text.decode(errors="replace"), texts)


def _bytes(path: Path, width: int, height: int) -> bytes:
    """The lowest bits of the alpha channel of a part of the image."""
    try:
        image = pyvips.Image.new_from_file(str(path), access="sequential").crop(0, 0, width, height)
        alpha = np.frombuffer(image.extract_band(image.bands - 1).cast("uchar").write_to_memory(), np.uint8)
    except pyvips.Error:
        return b""
    bits = alpha.reshape(height, width).T & np.uint8(1)
    return np.packbits(bits.ravel()).tobytes()


def _keep(text: str, texts: Texts) -> bool:
    """Keeps the text. NovelAI's is a table of all its texts."""
    found = {name: value for name, value in decode_table(text).items() if isinstance(value, str)}
    for name, value in (found or {"parameters": text}).items():
        if texts.wants(f"hidden {name}"):
            texts.add(name, value)
    return bool(text)
