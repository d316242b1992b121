"""What is asked for at the same time is answered together: a grid asks for dozens, and the way to the database or into
a thread costs more for each than what it brings."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
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
        self._caller: asyncio.Task[None] | None = None
        self._calls: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        tasks = [*self._calls, *([self._caller] if self._caller else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def get(self, key: K) -> V:
        asked: _Asked[K, V] = _Asked(key, asyncio.get_running_loop().create_future())
        self._asked.append(asked)
        if self._caller is None or self._caller.done():
            self._caller = asyncio.create_task(self._run(), name="asked together")
        return await asked.answer

    async def _run(self) -> None:
        while self._asked:
            some, self._asked = self._asked[:MOST], self._asked[MOST:]
            call = asyncio.create_task(self._call(some), name="answered together")
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)
            await asyncio.wait({call}, timeout=SLOW)
            if len(self._calls) >= CALLS:
                await asyncio.wait(self._calls, return_when=asyncio.FIRST_COMPLETED)

    async def _call(self, some: Sequence[_Asked[K, V]]) -> None:
        answers: Sequence[V | Exception]
        try:
            answers = await self._answer([asked.key for asked in some])
        except Exception as error:  # noqa: BLE001 - each who asked is told
            answers = [error] * len(some)
        for asked, answer in zip(some, answers, strict=True):
            if asked.answer.done():  # whoever asked has gone
                continue
            if isinstance(answer, Exception):
                asked.answer.set_exception(answer)
            else:
                asked.answer.set_result(answer)
