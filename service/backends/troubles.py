"""Troubles of one server by code, shown on its card: a cause sets its trouble and clears it when it ends."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from service.bus.live_state import Trouble


class Troubles:
    """The troubles, in memory: after a restart each cause finds its trouble again. `changed` is called after every
    change."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._present: dict[str, Trouble] = {}

    def set(self, code: str, words: str) -> None:
        """Begins the trouble, or changes its words; `since` stays."""
        before = self._present.get(code)
        if before is not None and before.words == words:
            return
        since = before.since if before is not None else datetime.now(UTC)
        self._present[code] = Trouble(code=code, since=since, words=words)
        self._changed()

    def clear(self, code: str) -> None:
        """Ends the trouble. Does nothing if there is none."""
        if self._present.pop(code, None) is not None:
            self._changed()

    @property
    def present(self) -> list[Trouble]:
        """All troubles, oldest first."""
        return list(self._present.values())
