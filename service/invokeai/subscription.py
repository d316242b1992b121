"""InvokeAI's queue events: asks by REST whether the server answers, and keeps one socket beside it."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Literal

import msgspec

from service.errors import InvokeError, InvokeUnauthorized, InvokeUnrecognised
from service.invokeai.client import InvokeClient
from service.invokeai.events import EVENTS
from service.invokeai.queue_socket import QueueSocket
from service.runtime.waiting import wait_for_event


class SubscriptionState(StrEnum):
    CONNECTING = "connecting"
    CONNECTED = "connected"
    UNREACHABLE = "unreachable"
    UNAUTHORIZED = "unauthorized"
    UNRECOGNISED = "unrecognised"


class SocketTiming(msgspec.Struct, frozen=True):
    """Seconds. Waits double from `first_wait` to `longest_wait`: waits between attempts to reach the server until it
    answers, and waits between sockets until one has heard an event or has lasted `settled`. A server that answers
    counts as connected once its socket is open, or after `head_start`. A socket that is silent for `quiet` is checked
    by REST."""

    first_wait: float = 0.5
    longest_wait: float = 30.0
    settled: float = 0.5
    head_start: float = 2.0
    quiet: float = 60.0


TIMING = SocketTiming()
UNANSWERED = 2
"""Liveness checks in a row without an answer, after which a silent socket is closed."""
BARRED = 3600.0
"""Seconds between two looks whether a barred server may be tried."""
DROPPED = 3
"""Sockets in a row that were dropped at once, after which the server counts as one without sockets."""


class _QueueId(msgspec.Struct):
    """The queue id of an event."""

    queue_id: str | None = None


async def _admit_all() -> None:
    """Admits every server."""


class Subscription:
    """Passes on `(name, payload)` of the events that we use, of our queue only, in order. The payload is JSON.

    The state is that of REST alone. `on_socket` is called with None when a socket has subscribed, and with a reason
    when there is none although REST answers. Nothing is replayed: after each subscription, and each time the state
    becomes CONNECTED, the listener reads by REST (events are hints). `admit` is awaited before CONNECTED, and each time
    the server is asked again before a new socket; it raises an `InvokeError` to refuse. `on_wait` is called when
    `next_attempt_at` has changed. The other callbacks are plain functions that neither raise nor wait.
    """

    def __init__(
        self,
        client: InvokeClient,
        on_event: Callable[[str, bytes], None],
        on_state: Callable[[SubscriptionState, str | None], None],
        on_socket: Callable[[str | None], None] = lambda _: None,
        *,
        admit: Callable[[], Awaitable[None]] = _admit_all,
        on_wait: Callable[[], None] = lambda: None,
        timing: SocketTiming = TIMING,
        wait: Callable[[asyncio.Event, float], Awaitable[object]] = wait_for_event,
    ) -> None:
        self.state = SubscriptionState.CONNECTING
        self.listening = False
        """Whether a socket has subscribed and is not lost."""
        self.last_event_at: datetime | None = None
        self.next_attempt_at: datetime | None = None
        """When an unreachable server is asked again, for display only. None while it is asked."""
        self._client = client
        self._on_event = on_event
        self._on_state = on_state
        self._on_socket = on_socket
        self._admit = admit
        self.barred: Callable[[], str | None] = lambda: None
        """While it returns a reason, the server is not tried until `poke`."""
        self._on_wait = on_wait
        self._timing = timing
        self._wait = wait
        self._poked = asyncio.Event()
        self._recheck = asyncio.Event()
        self._rest_wait = self._socket_wait = timing.first_wait
        self._answered = False
        self._dropped = 0
        """Sockets in a row that neither heard an event nor lasted."""
        self._opened_at = self._heard_at = 0.0
        self._head_start: asyncio.TimerHandle | None = None

    def poke(self) -> None:
        """Ends the present wait between attempts, for example after the login changed."""
        self._poked.set()

    def recheck(self) -> None:
        """Ends the present socket and the present wait, so that the server is asked and admitted again."""
        self._recheck.set()
        self._poked.set()

    async def run(self) -> None:
        """Connects again and again until cancelled."""
        self._enter(SubscriptionState.CONNECTING)
        try:
            while True:
                await self._attempt()
        finally:
            self._cancel_head_start()

    async def _attempt(self) -> None:
        """One socket if the server answers, and the wait before the next attempt."""
        if await self._answers_us():
            failure = await self._listen()
            if await self._answers_us():
                if failure is not None:
                    self._on_socket(failure)
                self._enter(SubscriptionState.CONNECTED)
                await self._pause(self._socket_wait)
                self._socket_wait = min(2 * self._socket_wait, self._timing.longest_wait)
                return
        if self.barred() is not None:
            await self._wait(self._poked, BARRED)
            self._poked.clear()
            self._rest_wait = self._socket_wait = self._timing.first_wait
            return
        await self._pause(self._rest_wait, is_away=True)
        self._rest_wait = min(2 * self._rest_wait, self._timing.longest_wait)

    # --- REST ---

    async def _answers_us(self) -> bool:
        """Whether the server answers, accepts the login and is admitted; if not, the state says why."""
        answered, self._answered = self._answered, False
        why = self.barred()
        if why is not None:
            self._enter(SubscriptionState.UNREACHABLE, why)
            return False
        try:
            await self._client.connect(again=answered)
            await self._admit()
        except InvokeUnauthorized as error:
            self._rest_wait = self._timing.longest_wait
            self._enter(SubscriptionState.UNAUTHORIZED, error.words)
        except InvokeUnrecognised as error:
            self._enter(SubscriptionState.UNRECOGNISED, str(error))
        except InvokeError as error:
            self._enter(SubscriptionState.UNREACHABLE, str(error))
        else:
            self._answered = True
            self._rest_wait = self._timing.first_wait
            if self.state is not SubscriptionState.CONNECTED and self._head_start is None:
                loop = asyncio.get_running_loop()
                self._head_start = loop.call_later(self._timing.head_start, self._enter, SubscriptionState.CONNECTED)
            return True
        return False

    def _cancel_head_start(self) -> None:
        if self._head_start is not None:
            self._head_start.cancel()
            self._head_start = None

    def _enter(self, state: SubscriptionState, why: str | None = None) -> None:
        self._cancel_head_start()
        if state is SubscriptionState.CONNECTED and self.state is state:
            return
        self.state = state
        self._on_state(state, why)

    # --- the socket ---

    async def _listen(self) -> str | None:
        """Runs one socket until it ends. Returns why there is none, or None if this one could be opened."""
        socket = QueueSocket(self._client.session, self._hear, self._client.gateway)
        self._recheck.clear()
        rechecked = asyncio.create_task(self._recheck.wait(), name="invokeai-recheck")
        try:
            lost = await socket.open(self._client.url, self._client.token, self._client.queue_id, self._client.timeout)
            self._opened_at = self._heard_at = time.monotonic()
            self.listening = True
            self._on_socket(None)
            self._enter(SubscriptionState.CONNECTED)
            why = await self._until_lost(lost, rechecked)
            self.listening = False
            if self._worked():
                self._socket_wait, self._dropped = self._timing.first_wait, 0
            else:
                self._dropped += 1
            self._enter(SubscriptionState.CONNECTING, why)
        except InvokeError as error:
            return str(error)
        finally:
            rechecked.cancel()
            self.listening = False
            await socket.close()
        return "each socket breaks off at once" if self._dropped >= DROPPED else None

    def _hear(self, name: str, payload: bytes) -> None:
        self._heard_at = time.monotonic()
        self.last_event_at = datetime.now(UTC)
        if name in EVENTS and payload.startswith(b"{") and self._is_of_our_queue(payload):
            self._on_event(name, payload)

    def _is_of_our_queue(self, payload: bytes) -> bool:
        """Whether the event is of our queue. One that cannot be read is passed on: the consumer reports it."""
        try:
            queue_id = msgspec.json.decode(payload, type=_QueueId).queue_id
        except (ValueError, RecursionError):
            return True
        return queue_id in (None, self._client.queue_id)

    async def _until_lost(self, lost: asyncio.Task[None], rechecked: asyncio.Task[Literal[True]]) -> str:
        """Waits until the socket is lost, and returns why. engineio's own pings find a dead connection; this finds a
        server that pings but no longer answers."""
        failures = 0
        while failures < UNANSWERED:
            ends = {lost, rechecked}
            await asyncio.wait(ends, timeout=self._timing.quiet, return_when=asyncio.FIRST_COMPLETED)
            if lost.done():
                return "the socket was lost"
            if rechecked.done():
                return "another server may have taken its place"
            heard = time.monotonic() - self._heard_at < self._timing.quiet
            failures = 0 if heard or await self._answers(lost) else failures + 1
        return "the socket was silent and the server did not answer"

    async def _answers(self, lost: asyncio.Task[None]) -> bool:
        asking = asyncio.create_task(self._client.version(), name="invokeai-liveness")
        try:
            await asyncio.wait({asking, lost}, return_when=asyncio.FIRST_COMPLETED)
            return asking.done() and asking.exception() is None
        finally:
            asking.cancel()

    def _worked(self) -> bool:
        """Whether the socket that has just ended heard an event or lasted. A server may accept and drop at once."""
        return self._heard_at > self._opened_at or time.monotonic() - self._opened_at >= self._timing.settled

    async def _pause(self, seconds: float, *, is_away: bool = False) -> None:
        seconds *= random.uniform(0.5, 1.0)
        if is_away:
            self._announce(datetime.now(UTC) + timedelta(seconds=seconds))
        try:
            await self._wait(self._poked, seconds)
        finally:
            if is_away:
                self._announce(None)
        self._poked.clear()

    def _announce(self, next_attempt_at: datetime | None) -> None:
        self.next_attempt_at = next_attempt_at
        self._on_wait()
