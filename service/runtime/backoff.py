"""Waits between attempts that grow after each failure."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Collection, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


def backoff_seconds(failures: int, first: float, longest: float, *, growth: float = 2.0, jitter: float = 0.2) -> float:
    """The wait after so many failures before the last one: for what counts its failures itself, such as a row."""
    return min(first * growth ** min(failures, 32), longest) * random.uniform(1 - jitter, 1 + jitter)


class Backoff:
    """Waits of `first` seconds, then twice as long after each, up to `longest`; each is spread by ± `jitter` of it."""

    def __init__(self, first: float, longest: float, *, jitter: float = 0.2) -> None:
        self._first = first
        self._longest = longest
        self._jitter = jitter
        self._failures = 0

    def next(self) -> float:
        """Seconds to wait before the next attempt, after one that failed."""
        wait = backoff_seconds(self._failures, self._first, self._longest, jitter=self._jitter)
        self._failures += 1
        return wait

    def reset(self) -> None:
        """An attempt succeeded: the next wait is `first` again."""
        self._failures = 0


class RetryTimes(Generic[Key]):
    """When each of several things that failed may be tried again, on the event loop's clock."""

    def __init__(self, first: float, longest: float) -> None:
        self._first = first
        self._longest = longest
        self._backoffs: dict[Key, Backoff] = {}
        self._due: dict[Key, float] = {}

    def put_off(self, key: Key, *, by: float | None = None) -> float:
        """Seconds until `key` may be tried again, longer each time; not after the loop's time `by`, if that is still to
        come."""
        seconds = self._backoffs.setdefault(key, Backoff(self._first, self._longest, jitter=0)).next()
        now = asyncio.get_running_loop().time()
        return self.wait(key, min(seconds, by - now) if by is not None and by > now else seconds)

    def wait(self, key: Key, seconds: float) -> float:
        """`key` may be tried again in `seconds`; its waits grow no longer by this."""
        self._due[key] = asyncio.get_running_loop().time() + seconds
        return seconds

    def is_due(self, key: Key) -> bool:
        return self.seconds_left(key) <= 0

    def seconds_left(self, key: Key) -> float:
        """Seconds until `key` may be tried; 0 if it may be now."""
        return max(0.0, self._due.get(key, 0.0) - asyncio.get_running_loop().time())

    def retry_now(self, key: Key | None = None) -> None:
        """`key`, or everything, may be tried at once. Its next wait is as long as it would have been."""
        if key is None:
            self._due.clear()
        else:
            self._due.pop(key, None)

    def forget(self, key: Key) -> None:
        """It succeeded."""
        self._backoffs.pop(key, None)
        self._due.pop(key, None)

    def forget_all_but(self, keys: Collection[Key]) -> None:
        for key in (self._backoffs.keys() | self._due.keys()) - set(keys):
            self.forget(key)

    def next_due(self) -> float | None:
        """Seconds until the first of them may be tried; None when nothing waits."""
        return min((self.seconds_left(key) for key in self._due), default=None)
