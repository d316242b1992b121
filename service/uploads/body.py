"""Reads the body of an upload as a stream: a multipart form (RFC 7578) with exactly one part, named `file`.
Cleans the file name."""

from __future__ import annotations

import asyncio
import re
import unicodedata
from collections import deque
from typing import Any, Final, Self

from litestar import Request
from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from service.errors import RequestTimeout, TooLarge, UnsupportedMediaType, ValidationError
from service.media.formats import AVIF, GIF, JPEG, PNG, TIFF, WEBP, Format

STALL_SECONDS: Final = 30.0
"""Seconds within which some bytes must come."""
BESIDE_FILE: Final = 64 * 1024
"""Bytes that the form may have besides the file's own."""
LONGEST_BOUNDARY: Final = 1024
LONGEST_NAME: Final = 255
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


class FilePart:
    """The part with the file. Iterating gives its bytes. Everything raises `ApiError` for a wrong body. The rest of the
    body after the file is read and checked before the iteration ends."""

    def __init__(self, request: Request[Any, Any, Any], max_bytes: int) -> None:
        kind, options = parse_options_header(request.headers.get("content-type", ""))
        boundary = options.get("boundary", "")
        if kind != "multipart/form-data":
            raise UnsupportedMediaType("send the picture as the part `file` of a multipart/form-data body")
        if not 0 < len(boundary) <= LONGEST_BOUNDARY or not boundary.isprintable():
            raise ValidationError("the content type names no boundary")
        self.filename = ""
        """The name as the client gives it."""
        self.too_large = TooLarge(f"the file is too large: at most {max_bytes} bytes are taken")
        self._most = max_bytes + BESIDE_FILE
        length = request.headers.get("content-length", "")
        if length.isdecimal() and int(length) > self._most:
            raise self.too_large
        self._receive = request.receive
        # Header values are read as Latin-1, so that no byte is an error; `filename` decodes them.
        self._parser = PushMultipartParser(boundary, header_charset="latin-1")
        self._pieces: deque[bytes] = deque()
        self._received = 0
        self._has_part = False
        self._ended = False

    async def peek(self, size: int) -> bytes:
        """The first bytes, up to `size`; they can still be read."""
        while not self._ended and sum(map(len, self._pieces)) < size:
            await self._read()
        return b"".join(self._pieces)[:size]

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        while not self._pieces:
            if self._ended:
                raise StopAsyncIteration
            await self._read()
        return self._pieces.popleft()

    async def _read(self) -> None:
        """Reads the next piece of the body."""
        try:
            async with asyncio.timeout(STALL_SECONDS):
                message: Any = await self._receive()
        except TimeoutError:
            raise RequestTimeout(f"nothing of the body came for {STALL_SECONDS:g} s") from None
        if message["type"] == "http.disconnect":
            raise ValidationError("the body broke off before its end")
        body = message["body"]
        self._received += len(body)
        if self._received > self._most:
            raise self.too_large
        try:
            if body:
                self._parse(body)
            if not message.get("more_body", False):
                self._parser.close()
                self._end()
        except MultipartError as error:
            raise ValidationError(f"the multipart body cannot be read: {error}") from error

    def _parse(self, body: bytes) -> None:
        for event in self._parser.parse(body):
            if isinstance(event, MultipartSegment):
                self._begin(event)
            elif event is not None:
                self._pieces.append(bytes(event))

    def _begin(self, part: MultipartSegment) -> None:
        if self._has_part:
            raise ValidationError("the body has more than one part: send one picture, as `file`")
        if part.name != "file":
            name = _decoded(part.name or "")[:100]
            raise ValidationError(f"the part is named {name!r}: send the picture as `file`")
        self._has_part = True
        self.filename = _decoded(part.filename or "")

    def _end(self) -> None:
        if not self._has_part:
            raise ValidationError("the body has no part: send the picture as `file`")
        self._ended = True


def _decoded(value: str) -> str:
    return value.encode("latin-1", "replace").decode(errors="replace")


def clean_name(given: str, kind: Format) -> str:
    """The name without folders and invisible characters, with an ending of the file's format."""
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
    return f"{stem.strip() or NAMELESS}"[: LONGEST_NAME - len(ending)] + ending
