"""A subscription that runs, and what it reported."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from service.invokeai.client import InvokeClient
from service.invokeai.subscription import SocketTiming, Subscription, SubscriptionState
from service.runtime.waiting import wait_for_event

CONNECTING = SubscriptionState.CONNECTING
CONNECTED = SubscriptionState.CONNECTED
UNREACHABLE = SubscriptionState.UNREACHABLE
UNAUTHORIZED = SubscriptionState.UNAUTHORIZED
UNRECOGNISED = SubscriptionState.UNRECOGNISED

FAST = SocketTiming(first_wait=0.01, longest_wait=0.05, settled=0.0, quiet=60.0)
NO_RECONNECT = SocketTiming(first_wait=3600, longest_wait=3600, settled=0.0, quiet=60.0)


async def anyone() -> None:
    """Admits every server."""


class SubscriptionRecorder:
    """Runs a subscription and waits for what it reports. `sockets` has None for each that subscribed, and the reason
    for each time that there was none."""

    def __init__(
        self,
        client: InvokeClient,
        timing: SocketTiming,
        admit: Callable[[], Awaitable[None]] = anyone,
        wait: Callable[[asyncio.Event, float], Awaitable[object]] = wait_for_event,
    ) -> None:
        self.events: list[tuple[str, bytes]] = []
        self.states: list[tuple[SubscriptionState, str | None]] = []
        self.sockets: list[str | None] = []
        self._changed = asyncio.Event()
        self.subscription = Subscription(
            client, self._event, self._state, self._socket, admit=admit, timing=timing, wait=wait
        )
        self.task = asyncio.create_task(self.subscription.run(), name="subscription")

    def _event(self, name: str, payload: bytes) -> None:
        self.events.append((name, payload))
        self._changed.set()

    def _state(self, state: SubscriptionState, why: str | None) -> None:
        self.states.append((state, why))
        self._changed.set()

    def _socket(self, why: str | None) -> None:
        self.sockets.append(why)
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

    async def without_socket(self) -> str:
        """Why there is no socket, the first time there is none."""
        await self.until(lambda: any(self.sockets))
        return next(why for why in self.sockets if why)

    async def subscribed(self, times: int = 1) -> None:
        await self.until(lambda: self.sockets.count(None) >= times)

    async def stop(self) -> None:
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task


class Waits(list[float]):
    """How long a subscription wanted to wait each time; it hardly does."""

    async def __call__(self, poked: asyncio.Event, seconds: float) -> None:
        self.append(seconds)
        await asyncio.sleep(0.01)

    def are(self, *longest: float) -> bool:
        """Whether they were of these lengths, each shortened by at most a half."""
        return len(self) == len(longest) and all(
            most / 2 <= seconds <= most for seconds, most in zip(self, longest, strict=True)
        )


@asynccontextmanager
async def subscribed(
    client: InvokeClient,
    timing: SocketTiming = FAST,
    admit: Callable[[], Awaitable[None]] = anyone,
    wait: Callable[[asyncio.Event, float], Awaitable[object]] = wait_for_event,
) -> AsyncIterator[SubscriptionRecorder]:
    watch = SubscriptionRecorder(client, timing, admit, wait)
    try:
        yield watch
    finally:
        await watch.stop()
