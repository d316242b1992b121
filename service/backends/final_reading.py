"""Reads a server once more when its work seems to be over: only then it can count as home (ledger and home)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from service.backends.home import ReadState, was_read
from service.bus.bus import Bus
from service.correlation.exchange import ReadingRequests
from service.correlation.tracking import Tracking
from service.runtime.backoff import Backoff

TICK = 0.5
QUIET = 2.0
"""Seconds without a sign of work after which it seems to be over."""
FIRST_WAIT, LONGEST_WAIT = 4.0, 60.0
"""Seconds between two requests for a reading, doubled each time; a reading in between ends the wait."""


class FinalReading:
    """Run it supervised. `state` is called often; the ledger changes when all has been read, or no longer is."""

    def __init__(self, state: Callable[[], ReadState], tracking: Tracking, requests: ReadingRequests, bus: Bus) -> None:
        self._state = state
        self._tracking = tracking
        self._requests = requests
        self._bus = bus

    async def run(self) -> None:
        told, backoff, next_at = False, Backoff(FIRST_WAIT, LONGEST_WAIT, jitter=0.0), 0.0
        while True:
            await asyncio.sleep(TICK)
            state, now = self._state(), time.monotonic()
            read = was_read(state)
            if read != told:
                told = read
                self._bus.ledger_changed()
            is_busy = self._tracking.ours_live or self._tracking.foreign_live
            if read:
                next_at = 0.0
                backoff.reset()
            elif state.reachable and not is_busy and now >= max(next_at, state.worked_at + QUIET):
                self._requests.everything()
                next_at = now + backoff.next()
