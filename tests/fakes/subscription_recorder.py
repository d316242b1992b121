"""A subscription that runs, and what it reported."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from service.invokeai.client import InvokeClient
from service.invokeai.subscription import Pace, Subscription, SubscriptionState

CONNECTING = SubscriptionState.CONNECTING
CONNECTED = SubscriptionState.CONNECTED
UNREACHABLE = SubscriptionState.UNREACHABLE
UNAUTHORIZED = SubscriptionState.UNAUTHORIZED

FAST = Pace(first_wait=0.01, longest_wait=0.05, settled=0.0, quiet=60.0)
NO_RECONNECT = Pace(first_wait=3600, longest_wait=3600, settled=0.0, quiet=60.0)


class SubscriptionRecorder:
    """Runs a subscription and waits for what it reports."""

    def __init__(self, client: InvokeClient, pace: Pace) -> None:
        self.events: list[tuple[str, Any]] = []
        self.states: list[tuple[SubscriptionState, str | None]] = []
        self._changed = asyncio.Event()
        self.subscription = Subscription(client, self._event, self._state, pace=pace)
        self.task = asyncio.create_task(self.subscription.run(), name="subscription")

    def _event(self, name: str, payload: Any) -> None:
        self.events.append((name, payload))
        self._changed.set()

    def _state(self, state: SubscriptionState, why: str | None) -> None:
        self.states.append((state, why))
        self._changed.set()

    def times(self, state: SubscriptionState) -> int:
        return sum(seen is state for seen, _ in self.states)

    async def until(self, reached: Callable[[], bool]) -> None:
        async with asyncio.timeout(15):
            while not reached():
                self._changed.clear()
                await self._changed.wait()

    async def connected(self, times: int = 1) -> None:
        await self.until(lambda: self.times(CONNECTED) >= times)

    async def reported(self, state: SubscriptionState) -> str | None:
        """Why it is in this state, the first time it is."""
        await self.until(lambda: self.times(state) > 0)
        return next(why for seen, why in self.states if seen is state)

    async def stop(self) -> None:
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task


@asynccontextmanager
async def subscribed(client: InvokeClient, pace: Pace = FAST) -> AsyncIterator[SubscriptionRecorder]:
    watch = SubscriptionRecorder(client, pace)
    try:
        yield watch
    finally:
        await watch.stop()
