"""Bounds on what InvokeAI sends: too long ids and names are malformed, longer texts are cut."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Final

import msgspec

LONGEST_NAME: Final = 255
LONGEST_LABEL: Final = 200
"""Characters of a text on one line: a device, a version, a node's message."""
LONGEST_WORDS: Final = 10_000
"""Characters of an error."""
MOST_NAMES: Final = 5000
"""Images of one node or one item."""
LONGEST_RESULT: Final = 2 * 1024 * 1024
"""Bytes of one node's result. JSON needs up to 24 times as much memory once it is decoded."""
LONGEST_EVENT: Final = 4 * 1024 * 1024
"""Bytes of an event without a preview. Decoding a longer one would hold up everything else."""
MOST_IDS: Final = 100_000
"""Items that one event names. A queue holds 10,000."""

Int32 = Annotated[int, msgspec.Meta(ge=-(2**31), lt=2**31)]
Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
Id = Annotated[str, msgspec.Meta(max_length=LONGEST_NAME)]
"""Id of a batch or a session: a uuid unless its maker chose another."""
SessionId = Annotated[str, msgspec.Meta(max_length=500)]
"""Session id of an image. The bound is the one of the first release: no image is dropped for it."""
Name = Annotated[str, msgspec.Meta(max_length=LONGEST_NAME)]
Word = Annotated[str, msgspec.Meta(max_length=LONGEST_LABEL)]
"""One of InvokeAI's own words, such as a status."""


def cut(text: str, most: int = LONGEST_WORDS) -> str:
    """The text, cut to `most` characters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def label(text: str) -> str:
    """The text as one line of at most LONGEST_LABEL characters."""
    if len(text) <= LONGEST_LABEL and text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else " " for letter in cut(text, LONGEST_LABEL))


def printable(text: str) -> str:
    """The id. Raises ValueError if no database can hold it."""
    if not text.isprintable():
        raise ValueError("it has characters that cannot be printed")
    return text


def in_utc(moment: datetime) -> datetime:
    """Times come without a zone and mean UTC (FACTS §7)."""
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("a time beyond the year 9999, or before the year 1") from None


def is_image_name(name: str) -> bool:
    """Whether it is one segment of a path and a text that a database can hold."""
    return 0 < len(name) <= LONGEST_NAME and name.isprintable() and "/" not in name and "\\" not in name


def is_storable(value: Any, most: int) -> bool:
    """Whether a column can hold it: at most `most` bytes as JSON, no NUL characters, no lone surrogates, no number that
    is too large."""
    if isinstance(value, int):
        return -(2**31) <= value < 2**31
    try:
        encoded = msgspec.json.encode(value)
    except (UnicodeEncodeError, OverflowError):
        return False
    return len(encoded) <= most and b"\\u0000" not in encoded
