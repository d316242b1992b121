"""Temporary files that could not be removed and are to be removed later."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Final, NamedTuple
from uuid import UUID

TEMPORARY: Final = ".part"
MOST: Final = 10_000
"""How many are remembered. If there are more, the whole library is searched for them."""


class Stray(NamedTuple):
    """A temporary file and the token in its name."""

    path: Path
    token: UUID

    @property
    def final_name(self) -> str:
        """The name that the file was written for."""
        return self.path.name.removeprefix(".").removesuffix(TEMPORARY).rpartition(".")[0]


def stray(path: Path) -> Stray | None:
    """The stray; None for a file that is no temporary one of ours."""
    if not path.name.endswith(TEMPORARY):
        return None
    try:
        return Stray(path, UUID(path.name.removesuffix(TEMPORARY).rpartition(".")[2]))
    except ValueError:
        return None


class Leftovers:
    """The list of strays: filled by the threads that write files, emptied by the sweep."""

    def __init__(self, most: int = MOST) -> None:
        self.searched_at: float | None = None
        """When the whole library was last searched, in seconds since 1970; None if it has to be."""
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
        """Returns all and forgets them; those that cannot be removed are added again."""
        with self._lock:
            strays = list(self._strays.values())
            self._strays.clear()
        return strays

    @property
    def are_none(self) -> bool:
        with self._lock:
            return not self._strays and not self._overflowed

    def have_overflowed(self) -> bool:
        """Whether there were more than can be remembered, and the remembered ones are removed. True once."""
        with self._lock:
            told = self._overflowed and not self._strays
            if told:
                self._overflowed = False
        return told
