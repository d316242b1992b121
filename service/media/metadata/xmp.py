"""Reads rating and texts from XMP.

It is searched as text and never parsed as XML, so there are no entities to expand and no addresses to follow.
"""

from __future__ import annotations

import html
import re

from service.media.metadata.texts import Texts

MAX_XMP = 1024 * 1024
RATING = re.compile(r"\b(?:xmp|xap):Rating(?:\s{0,9}=\s{0,9}[\"']|>)\s{0,9}(-?\d{1,3}(?:\.\d{1,3})?)\s{0,9}[\"'<]")
TAG = re.compile(r"<[^<>]*>")
WORDS = {
    "dc:title": "Title",
    "dc:description": "Description",
    "dc:subject": "Subject",
    "exif:UserComment": "UserComment",
}
MAX_WORDS = 64 * 1024


def read_xmp(data: bytes, texts: Texts) -> None:
    xmp = data[:MAX_XMP].decode(errors="replace")
    if found := RATING.search(xmp):
        texts.rate(float(found[1]))
    for tag, name in WORDS.items():
        start = xmp.find(f"<{tag}>")
        end = xmp.find(f"</{tag}>", start)
        if 0 <= start < end:
            parts = TAG.sub("\n", xmp[start : min(end, start + MAX_WORDS)]).split("\n")
            texts.add(name, html.unescape("\n".join(part.strip() for part in parts if part.strip())))
