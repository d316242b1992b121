"""Thumbnails, and the texts inside a PNG, as InvokeAI makes and reads them (FACTS §7)."""

from __future__ import annotations

import struct

from service.demo.png import SIGNATURE, Pixels, to_vips

_THUMBNAIL_SIDE = 256


def thumbnail(pixels: Pixels) -> bytes:
    """WebP, at most 256 on the longer side, never enlarged."""
    image = to_vips(pixels)
    if max(image.width, image.height) > _THUMBNAIL_SIDE:
        image = image.thumbnail_image(_THUMBNAIL_SIDE, height=_THUMBNAIL_SIDE, size="down")
    data: bytes = image.webpsave_buffer(Q=80, keep="none")
    return data


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
