"""InvokeAI's queue events for as long as Darkroom runs: our own reconnect loop around one socket at a time."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import msgspec

from service.errors import InvokeError, InvokeUnauthorized
from service.invokeai.client import InvokeClient
from service.invokeai.events import EVENTS
from service.invokeai.queue_socket import QueueSocket


class SubscriptionState(StrEnum):
    CONNECTING = "connecting"
    CONNECTED = "connected"
    UNREACHABLE = "unreachable"
    UNAUTHORIZED = "unauthorized"


class Pace(msgspec.Struct, frozen=True):
    """Seconds. Waits double from `first_wait` to `longest_wait` until a connection has lasted `settled`; a socket
    silent for `quiet` is checked by REST."""

    first_wait: float = 0.5
    longest_wait: float = 30.0
    settled: float = 10.0
    quiet: float = 60.0


PACE = Pace()
UNANSWERED = 2
"""Liveness checks in a row after which a silent socket is given up."""


class Subscription:
    """Hands over `(name, payload)` of the events we use, of our queue only, in order. Nothing is replayed after a
    reconnect: whoever hears CONNECTED reads by REST (rule 1). Both callbacks are plain functions that neither raise nor
    wait."""

    def __init__(
        self,
        client: InvokeClient,
        on_event: Callable[[str, Any], None],
        on_state: Callable[[SubscriptionState, str | None], None],
        *,
        pace: Pace = PACE,
    ) -> None:
        self.state = SubscriptionState.CONNECTING
        self.last_event_at: datetime | None = None
        self._client = client
        self._on_event = on_event
        self._on_state = on_state
        self._pace = pace
        self._poked = asyncio.Event()
        self._heard_at = 0.0
        self._connected_at: float | None = None

    def poke(self) -> None:
        """Ends the present wait between attempts, e.g. after credentials changed."""
        self._poked.set()

    async def run(self) -> None:
        """Connects again and again until cancelled."""
        wait = self._pace.first_wait
        self._enter(SubscriptionState.CONNECTING)
        while True:
            try:
                await self._connection()
            except InvokeUnauthorized as error:
                self._enter(SubscriptionState.UNAUTHORIZED, error.words)
                wait = self._pace.longest_wait
            except InvokeError as error:
                self._enter(SubscriptionState.UNREACHABLE, str(error))
            if self._settled():
                wait = self._pace.first_wait
            await self._pause(wait)
            wait = min(2 * wait, self._pace.longest_wait)

    async def _connection(self) -> None:
        """One connection, from login to loss."""
        self._connected_at = None
        await self._client.connect()
        socket = QueueSocket(self._client.session, self._hear)
        try:
            lost = await socket.open(self._client.url, self._client.token, self._client.queue_id, self._client.timeout)
            self._connected_at = self._heard_at = time.monotonic()
            self._enter(SubscriptionState.CONNECTED)
            self._enter(SubscriptionState.CONNECTING, await self._until_lost(lost))
        finally:
            await socket.close()

    def _hear(self, name: str, payload: Any) -> None:
        self._heard_at = time.monotonic()
        self.last_event_at = datetime.now(UTC)
        if name not in EVENTS or not isinstance(payload, dict):
            return
        if payload.get("queue_id", self._client.queue_id) == self._client.queue_id:
            self._on_event(name, payload)

    async def _until_lost(self, lost: asyncio.Task[None]) -> str:
        """Why. engine.io's own pings find a dead connection; this finds a server that pings but no longer answers."""
        failures = 0
        while failures < UNANSWERED:
            await asyncio.wait({lost}, timeout=self._pace.quiet)
            if lost.done():
                return "the socket was lost"
            heard = time.monotonic() - self._heard_at < self._pace.quiet
            failures = 0 if heard or await self._answers(lost) else failures + 1
        return "the socket was silent and the server did not answer"

    async def _answers(self, lost: asyncio.Task[None]) -> bool:
        asking = asyncio.create_task(self._client.version(), name="invokeai-liveness")
        try:
            await asyncio.wait({asking, lost}, return_when=asyncio.FIRST_COMPLETED)
            return asking.done() and asking.exception() is None
        finally:
            asking.cancel()

    def _settled(self) -> bool:
        return self._connected_at is not None and time.monotonic() - self._connected_at >= self._pace.settled

    def _enter(self, state: SubscriptionState, why: str | None = None) -> None:
        self.state = state
        self._on_state(state, why)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds * random.uniform(0.5, 1.0)):
                await self._poked.wait()
        except TimeoutError:
            return
        finally:
            self._poked.clear()
