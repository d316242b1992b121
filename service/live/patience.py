"""A timeout around many sends that costs no timer for each of them."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Final, Self

LOOKS: Final = 5
"""How often a send is looked at within its time: it may take a fifth longer than allowed."""


class Patience:
    """Raises TimeoutError in its body when one send, marked by `begin` and `end`, takes longer than `seconds`."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._timeout = asyncio.timeout(None)
        self._since: float | None = None
        self._timer: asyncio.TimerHandle

    def begin(self) -> None:
        self._since = self._loop.time()

    def end(self) -> None:
        self._since = None

    async def __aenter__(self) -> Self:
        await self._timeout.__aenter__()
        self._look()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        await self._timeout.__aexit__(kind, error, trace)

    def _look(self) -> None:
        now = self._loop.time()
        if self._since is not None and now - self._since >= self._seconds:
            self._timeout.reschedule(now)
        else:
            self._timer = self._loop.call_later(self._seconds / LOOKS, self._look)
