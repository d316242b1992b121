"""When a server's work seems to be over, it is read once more: only then can it be said to be home (rule 19)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from service.backends.home import Looked, was_read

TICK = 0.5
QUIET = 2.0
"""Seconds without a sign of work after which it seems to be over."""
FIRST_WAIT, LONGEST_WAIT = 4.0, 60.0
"""Seconds for a reading to end, or to show that there is more, before another is asked for; doubled each time."""


class LastLook:
    """Supervised. `looked` is asked often; `changed` hears whenever everything has been read, or no longer is."""

    def __init__(
        self,
        looked: Callable[[], Looked],
        is_busy: Callable[[], bool],
        read_everything: Callable[[], None],
        changed: Callable[[], None],
    ) -> None:
        self._looked = looked
        self._is_busy = is_busy
        self._read_everything = read_everything
        self._changed = changed

    async def run(self) -> None:
        told = False
        wait, next_at = FIRST_WAIT, 0.0
        while True:
            await asyncio.sleep(TICK)
            looked, now = self._looked(), time.monotonic()
            read = was_read(looked)
            if read != told:
                told = read
                self._changed()
            if read:
                wait, next_at = FIRST_WAIT, 0.0
            elif looked.reachable and not self._is_busy() and now >= max(next_at, looked.worked_at + QUIET):
                self._read_everything()
                wait, next_at = min(wait * 2, LONGEST_WAIT), now + wait
