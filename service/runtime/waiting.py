"""Waiting for an event with a time limit, and finishing work before a cancellation goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


async def wait_for_event(event: asyncio.Event, within: float | None) -> bool:
    """Waits for the event: True once it is set, False when `within` seconds (None: no limit) have passed."""
    try:
        async with asyncio.timeout(within):
            await event.wait()
    except TimeoutError:
        return False
    return True


async def finish_before_cancel(work: Awaitable[T]) -> T:
    """The result of `work`. A cancellation that comes while it runs takes effect when it has ended: threads at work on
    a file and the writing of an outcome are not cut off."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # retrieved, so that asyncio does not log it
        raise
