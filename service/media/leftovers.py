"""Temporary files that nobody needs any more, and that could not be removed when they should have been."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Final, NamedTuple
from uuid import UUID

TEMPORARY: Final = ".part"
MOST: Final = 10_000
"""How many are remembered. When there are more, the whole library is looked through for them."""


class Stray(NamedTuple):
    """A temporary file, and the token that its name carries."""

    path: Path
    token: UUID

    @property
    def final_name(self) -> str:
        """The name the file was to have."""
        return self.path.name.removeprefix(".").removesuffix(TEMPORARY).rpartition(".")[0]


def stray(path: Path) -> Stray | None:
    """None for a file that is no temporary one of ours."""
    if not path.name.endswith(TEMPORARY):
        return None
    try:
        return Stray(path, UUID(path.name.removesuffix(TEMPORARY).rpartition(".")[2]))
    except ValueError:
        return None


class Leftovers:
    """Filled by the threads that write files, emptied by the sweep."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._strays: dict[Path, Stray] = {}
        self._overflowed = False

    def add(self, stray: Stray) -> None:
        with self._lock:
            if len(self._strays) < self._most:
                self._strays[stray.path] = stray
            else:
                self._overflowed = True

    def take(self) -> list[Stray]:
        """All that are remembered; they are forgotten until they are added again."""
        with self._lock:
            strays = list(self._strays.values())
            self._strays.clear()
        return strays

    def have_overflowed(self) -> bool:
        """Whether there were more than can be remembered, and all that are remembered have been removed. Told once."""
        with self._lock:
            told = self._overflowed and not self._strays
            if told:
                self._overflowed = False
        return told
