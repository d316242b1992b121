"""Answers requests of the same moment together.

A grid asks for dozens, and one trip to the database or to a thread costs more than its result.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

MOST: Final = 50
"""Keys of one call."""
CALLS: Final = 4
"""Calls at the same time, if they are slow."""
SLOW: Final = 0.05
"""Seconds for which the next keys wait for the call before to end."""


class Together(Generic[K, V]):
    """Batches keys. `answer` returns a value, or an exception to raise, for each of some keys, in their order."""

    def __init__(self, answer: Callable[[Sequence[K]], Awaitable[Sequence[V | Exception]]]) -> None:
        self._answer = answer
        self._asked: list[tuple[K, asyncio.Future[V]]] = []
        self._calls: set[asyncio.Future[Sequence[V | Exception]]] = set()
        self._newest: asyncio.Future[Sequence[V | Exception]] | None = None
        """The call that the next keys wait for; None if they may begin at once."""
        self._is_due = False

    async def close(self) -> None:
        """Cancels those who still wait."""
        for _, answer in self._asked:
            answer.cancel()
        self._asked.clear()
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)

    def get(self, key: K) -> asyncio.Future[V]:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[V] = loop.create_future()
        self._asked.append((key, answer))
        if self._newest is None and not self._is_due:
            self._is_due = True
            loop.call_soon(self._begin)  # with all keys that the loop still brings in this turn
        return answer

    def _begin(self) -> None:
        self._is_due = False
        if not self._asked or len(self._calls) >= CALLS:
            return
        some, self._asked = self._asked[:MOST], self._asked[MOST:]
        call = asyncio.ensure_future(self._answer([key for key, _ in some]))  # noqa: RUF006 (it is kept below)
        self._newest = call
        self._calls.add(call)
        timer = asyncio.get_running_loop().call_later(SLOW, self._go_on, call)
        call.add_done_callback(partial(self._end, some, timer))

    def _go_on(self, call: asyncio.Future[Sequence[V | Exception]]) -> None:
        """The call is slow: the next keys do not wait for it."""
        if self._newest is call:
            self._newest = None
            self._begin()

    def _end(
        self,
        some: Sequence[tuple[K, asyncio.Future[V]]],
        timer: asyncio.TimerHandle,
        call: asyncio.Future[Sequence[V | Exception]],
    ) -> None:
        timer.cancel()
        self._calls.discard(call)
        if call.cancelled():
            for _, answer in some:
                answer.cancel()
        else:
            error = call.exception()
            answers = call.result() if error is None else [error] * len(some)
            for (_, answer), found in zip(some, answers, strict=True):
                if answer.done():  # the client has gone
                    continue
                if isinstance(found, BaseException):
                    answer.set_exception(found)
                else:
                    answer.set_result(found)
        if self._newest is call or self._newest is None:
            self._newest = None
            self._begin()
