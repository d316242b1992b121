"""Conditional and range requests (RFC 9110 §13 and §14), and file names in headers (RFC 6266)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote

IMMUTABLE = "private, max-age=31536000, immutable"
"""The bytes at a photo's address never change. `private`, since they are the owner's."""

_RANGE = re.compile(r"bytes=\s*(\d*)\s*-\s*(\d*)\s*", re.ASCII | re.IGNORECASE)
ENDLESS = 10**18
"""A position that no file reaches. Larger numbers are replaced by it: int() refuses those of thousands of digits."""
_TAG = re.compile(r'(?:W/)?("[^"]*")')


class ByteRange(NamedTuple):
    """From `start` up to, not including, `end`."""

    start: int
    end: int


class Unsatisfiable(Exception):
    """The range begins after the end of the file: 416."""


def is_fresh(if_none_match: str | None, etag: str) -> bool:
    """Whether the client has it already (304). Weak comparison, as §13.1.2 asks."""
    if if_none_match is None:
        return False
    return if_none_match.strip() == "*" or etag in _TAG.findall(if_none_match)


def wanted_range(headers: Mapping[str, str], etag: str, size: int) -> ByteRange | None:
    """The range of `size` bytes that a GET asks for; None for all of them. It is also all for several ranges, for units
    other than bytes and for invalid ones (§14.2 lets a server ignore those), and if `If-Range` names other bytes than
    these. Raises Unsatisfiable."""
    if_range = headers.get("if-range", etag)
    match = _RANGE.fullmatch(headers.get("range", ""))
    if match is None or if_range.strip() != etag:
        return None
    first, last = match.groups()
    if not first and not last:
        return None
    if not first:
        length = _position(last)
        if length == 0 or size == 0:
            raise Unsatisfiable
        return ByteRange(max(0, size - length), size)
    start, end = _position(first), _position(last) + 1 if last else size
    if last and end <= start:
        return None
    if start >= size:
        raise Unsatisfiable
    return ByteRange(start, min(size, end))


def _position(digits: str) -> int:
    significant = digits.lstrip("0") or "0"
    return int(significant) if len(significant) < len(str(ENDLESS)) else ENDLESS


def content_disposition(kind: str, filename: str) -> str:
    """The header: `inline` or `attachment`, with the name as it is if it is plain ASCII, else encoded, beside a plain
    replacement."""
    plain = re.sub(r'[^ -~]|["\\%]', "_", filename)
    header = f'{kind}; filename="{plain}"'
    return header if plain == filename else f"{header}; filename*=UTF-8''{quote(filename, safe='')}"
