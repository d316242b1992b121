"""The texts of an image file by name, with bounds on how much is read."""

from __future__ import annotations

import re
import zlib

from service.media.png import MAX_TEXT

MAX_ALL = 2 * MAX_TEXT
"""Characters of all texts of a file."""
MAX_TEXTS = 200
"""Texts and blocks of a file that are read."""
PREFIXED = re.compile(r"\s*(prompt|workflow):\s*(?=\{)", re.IGNORECASE)
"""ComfyUI's names for texts in formats without names, such as Exif."""


class Texts:
    """The first text of each name. `rating` is 0 to 5."""

    def __init__(self) -> None:
        self.named: dict[str, str] = {}
        self.rating: int | None = None
        self._asked: set[str] = set()
        self._room = MAX_ALL

    @property
    def room(self) -> int:
        """The room for one more text, in bytes or characters."""
        return min(self._room, MAX_TEXT)

    def wants(self, name: str) -> bool:
        """Whether a text or block of that name is to be read: the first one, and not too many in all."""
        if name in self._asked or len(self._asked) >= MAX_TEXTS or self._room <= 0:
            return False
        self._asked.add(name)
        return True

    def add(self, name: str, text: str) -> None:
        text = text[: self.room]
        self._room -= len(text)
        text = text.strip("\0")
        if prefix := PREFIXED.match(text):
            name, text = prefix[1].lower(), text[prefix.end() :]
        if text:
            self.named.setdefault(name, text)

    def rate(self, rating: float) -> None:
        """Keeps the rating. A rejected photo has -1 in XMP."""
        if self.rating is None and 0 <= rating <= 5:
            self.rating = round(rating)


def loose_text(data: bytes) -> str:
    """Decodes UTF-8, which many programs write in place of Latin-1; else Latin-1."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        # Cut inside a character.
        if error.reason == "unexpected end of data":
            return data[: error.start].decode()
        return data.decode("latin-1")


def inflated(data: bytes, limit: int, kind: int = zlib.MAX_WBITS) -> bytes:
    """The inflated data, as much as possible, up to the limit."""
    try:
        return zlib.decompressobj(kind).decompress(data, limit) if limit > 0 else b""
    except zlib.error:
        return b""
