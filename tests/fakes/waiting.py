"""Waiting for what comes by itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

PATIENCE: Final = 40.0
SHORTEST: Final = 0.01
LONGEST: Final = 0.1


async def eventually(met: Callable[[], Awaitable[Any]], seconds: float = PATIENCE) -> Any:
    """The first true answer. The pauses grow with the wait, so that a long one leaves the processor to what is waited
    for. Raises TimeoutError after `seconds`."""
    began = time.monotonic()
    async with asyncio.timeout(seconds):
        while not (answer := await met()):
            await asyncio.sleep(min(LONGEST, max(SHORTEST, (time.monotonic() - began) / 10)))
    return answer
