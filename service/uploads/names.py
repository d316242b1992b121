"""File names that clients give, as they are kept: one line of text that leads nowhere and misleads nobody."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from service.media.formats import AVIF, GIF, JPEG, PNG, TIFF, WEBP, Format

LONGEST: Final = 255
"""Characters."""
NAMELESS: Final = "upload"
ENDINGS: Final = {
    PNG: {".png", ".apng"},
    JPEG: {".jpg", ".jpeg", ".jpe", ".jfif"},
    WEBP: {".webp"},
    AVIF: {".avif", ".avifs"},
    GIF: {".gif"},
    TIFF: {".tif", ".tiff"},
}
OF_PICTURES: Final = frozenset().union(*ENDINGS.values(), {".heic", ".heif", ".bmp", ".jxl", ".svg"})
# They change the direction that text is read in: `gnp.exe` would look like `exe.png`.
_BIDI: Final = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def clean_name(given: str, kind: Format) -> str:
    """Without folders and what cannot be seen; its ending is one of the file's own kind."""
    name = re.split(r"[/\\]", given)[-1]
    name = unicodedata.normalize("NFC", _BIDI.sub("", name))
    name = "".join(character for character in name if unicodedata.category(character) not in ("Cc", "Cs", "Zl", "Zp"))
    name = name.strip(" .\ufeff")
    stem, dot, ending = name.rpartition(".")
    ending = dot + ending
    if not stem or ending.lower() not in OF_PICTURES:
        stem, ending = name, kind.extension
    elif ending.lower() not in ENDINGS[kind]:
        ending = kind.extension
    return f"{stem.strip() or NAMELESS}"[: LONGEST - len(ending)] + ending
