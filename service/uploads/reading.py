"""What an uploaded file tells of itself: how it was made, the images it was made from, its rating, its text."""

from __future__ import annotations

from pathlib import Path

import msgspec

from service.media.formats import Looked
from service.retrieval.derive import NOTHING, Derived, derive


class Read(msgspec.Struct, frozen=True):
    derived: Derived = NOTHING
    rating: int | None = None
    text: str | None = None
    """The beginning of the text inside, for the search."""


def read(file: Path, looked: Looked) -> Read:  # noqa: ARG001
    """Of a file that is whole (blocks). Text that cannot be read tells nothing."""
    return Read(derive(None, looked.png))
