"""Waiting for something to happen, but not for ever."""

from __future__ import annotations

import asyncio


async def happened(event: asyncio.Event, within: float | None) -> bool:
    """True once the event is set; False when `within` seconds (None: any time) have passed without it."""
    try:
        async with asyncio.timeout(within):
            await event.wait()
    except TimeoutError:
        return False
    return True
