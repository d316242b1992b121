"""What is asked for at the same time is answered together: a grid asks for dozens, and the way to the database or into
a thread costs more for each than what it brings."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final, Generic, NamedTuple, TypeVar

K = TypeVar("K")
V = TypeVar("V")

MOST: Final = 50
"""Answered by one call."""
CALLS: Final = 4
"""At the same time, where they are slow."""
SLOW: Final = 0.05
"""Seconds for which what is asked for next waits until the call before has ended."""


class _Asked(NamedTuple, Generic[K, V]):
    key: K
    answer: asyncio.Future[V]


class Together(Generic[K, V]):
    """`answer` gives a value, or an exception to raise, for each of some keys, in their order."""

    def __init__(self, answer: Callable[[Sequence[K]], Awaitable[Sequence[V | Exception]]]) -> None:
        self._answer = answer
        self._asked: list[_Asked[K, V]] = []
        self._calls: set[asyncio.Future[Sequence[V | Exception]]] = set()
        self._newest: asyncio.Future[Sequence[V | Exception]] | None = None
        """The call that what is asked for next waits for; None where it may begin at once."""
        self._is_due = False

    async def close(self) -> None:
        """Who still waits is cancelled."""
        for asked in self._asked:
            asked.answer.cancel()
        self._asked.clear()
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)

    async def get(self, key: K) -> V:
        loop = asyncio.get_running_loop()
        asked: _Asked[K, V] = _Asked(key, loop.create_future())
        self._asked.append(asked)
        if self._newest is None and not self._is_due:
            self._is_due = True
            loop.call_soon(self._begin)  # with all that the loop has still to hear of in this turn
        return await asked.answer

    def _begin(self) -> None:
        self._is_due = False
        if not self._asked or len(self._calls) >= CALLS:
            return
        some, self._asked = self._asked[:MOST], self._asked[MOST:]
        call = asyncio.ensure_future(self._answer([asked.key for asked in some]))
        self._newest = call
        self._calls.add(call)
        patience = asyncio.get_running_loop().call_later(SLOW, self._go_on, call)
        call.add_done_callback(partial(self._end, some, patience))

    def _go_on(self, call: asyncio.Future[Sequence[V | Exception]]) -> None:
        """That call is slow: the next ones do not wait for it."""
        if self._newest is call:
            self._newest = None
            self._begin()

    def _end(
        self,
        some: Sequence[_Asked[K, V]],
        patience: asyncio.TimerHandle,
        call: asyncio.Future[Sequence[V | Exception]],
    ) -> None:
        patience.cancel()
        self._calls.discard(call)
        if call.cancelled():
            for asked in some:
                asked.answer.cancel()
        else:
            error = call.exception()
            answers = call.result() if error is None else [error] * len(some)
            for asked, answer in zip(some, answers, strict=True):
                if asked.answer.done():  # whoever asked has gone
                    continue
                if isinstance(answer, BaseException):
                    asked.answer.set_exception(answer)
                else:
                    asked.answer.set_result(answer)
        if self._newest is call or self._newest is None:
            self._newest = None
            self._begin()
