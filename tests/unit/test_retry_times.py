"""When things that failed are tried again: waits that grow up to a bound, and one that falls on a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from hypothesis import given
from hypothesis import strategies as st

from service.runtime.backoff import RetryTimes

DEADLINE = 40.0


class Loop(asyncio.SelectorEventLoop):
    """Its clock stands where it is put."""

    now = 0.0

    def time(self) -> float:
        return self.now


def on_a_clock(check: Callable[[Loop], Awaitable[None]]) -> None:
    loop = Loop()
    try:
        loop.run_until_complete(check(loop))
    finally:
        loop.close()


@given(st.integers(0, 500), st.floats(-60, 3600))
def test_polls_have_growing_waits_and_one_falls_on_the_deadline(polls: int, seconds: float) -> None:
    async def check(loop: Loop) -> None:
        retries: RetryTimes[str] = RetryTimes(0.5, 5.0)
        for _ in range(polls):
            retries.put_off("batch")
        loop.now = DEADLINE + seconds
        wait = retries.put_off("batch", by=DEADLINE)
        assert 0 < wait <= 5.0
        if loop.now < DEADLINE:
            assert loop.now + wait <= DEADLINE + 0.001
        loop.now = DEADLINE + 3600
        earlier = retries.put_off("batch", by=DEADLINE)
        assert retries.put_off("batch", by=DEADLINE) >= earlier

    on_a_clock(check)


@given(st.integers(0, 10**4))
def test_waits_grow_up_to_a_minute(tries: int) -> None:
    async def check(loop: Loop) -> None:
        retries: RetryTimes[str] = RetryTimes(1.0, 60.0)
        for _ in range(min(tries, 100)):
            retries.put_off("batch")
        wait = retries.put_off("batch")
        assert 0 < wait <= retries.put_off("batch") <= 60

    on_a_clock(check)


def test_each_waits_for_itself_until_it_succeeds_or_may_be_tried_at_once() -> None:
    async def check(loop: Loop) -> None:
        retries: RetryTimes[str] = RetryTimes(1.0, 60.0)
        assert retries.is_due("a")
        assert retries.next_due() is None
        assert retries.put_off("a") == 1
        assert retries.put_off("b") == 1
        assert not retries.is_due("a")
        assert retries.next_due() == 1
        loop.now = 0.25
        assert retries.seconds_left("a") == 0.75
        retries.retry_now("a")
        assert retries.is_due("a")
        assert not retries.is_due("b")
        assert retries.put_off("a") == 2
        retries.forget("a")
        assert retries.put_off("a") == 1
        retries.forget_all_but(["b"])
        assert retries.is_due("a")
        assert not retries.is_due("b")
        retries.retry_now()
        assert retries.is_due("b")
        assert retries.put_off("b") == 2
        retries.wait("b", 7)
        assert retries.seconds_left("b") == 7

    on_a_clock(check)
