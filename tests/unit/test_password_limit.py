"""The limit on wrong passwords holds for an address with any password it sends, and costs other addresses nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from argon2 import PasswordHasher

from service.access.password import ADDRESSES, FAILURES_ALLOWED, WINDOW, OwnerPassword
from service.access.waiting import PLACES, PLACES_EACH
from service.errors import TooManyRequests, Unauthorized

SECRET = "correct horse"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def use_up(password: OwnerPassword, address: str) -> None:
    for _ in range(FAILURES_ALLOWED):
        with pytest.raises(Unauthorized):
            await password.check("wrong", address)


@pytest.mark.parametrize("knew_it", ["nobody", "another address", "the same address"])
async def test_an_address_without_attempts_is_refused_the_right_password_too(knew_it: str) -> None:
    clock = Clock()
    password = OwnerPassword(SECRET, clock)
    if knew_it != "nobody":
        await password.check(SECRET, "owner" if knew_it == "another address" else "stranger")
    await use_up(password, "stranger")
    for candidate in ("wrong", SECRET, "wrong", SECRET):
        with pytest.raises(TooManyRequests):
            await password.check(candidate, "stranger")
    clock.now += WINDOW - 1
    with pytest.raises(TooManyRequests):
        await password.check(SECRET, "stranger")
    clock.now += 2
    await password.check(SECRET, "stranger")


async def test_a_success_elsewhere_in_between_gives_no_attempt_back() -> None:
    password = OwnerPassword(SECRET)
    await use_up(password, "stranger")
    await password.check(SECRET, "owner")
    with pytest.raises(TooManyRequests):
        await password.check(SECRET, "stranger")


async def test_who_has_proven_itself_does_not_queue_behind_the_guesses_of_others() -> None:
    password = OwnerPassword(SECRET)
    await password.check(SECRET, "script")
    async with guesses(password, [f"x{number}" for number in range(PLACES)]):
        await password.check(SECRET, "script")
        # Before anything is waited for: each guess that was checked leaves a place free.
        with pytest.raises(TooManyRequests, match="are being checked"):
            await password.check(SECRET, "newcomer")
        with pytest.raises(Unauthorized):
            await password.check("mistyped", "script")


async def test_only_so_many_addresses_are_remembered_as_proven() -> None:
    """The oldest proves itself again, like a new one: seen by its waiting for a turn that it would not have needed."""
    password = OwnerPassword(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(SECRET))
    for number in range(ADDRESSES + 1):
        await password.check(SECRET, str(number))
    async with guesses(password, [f"x{number}" for number in range(PLACES)]):
        await password.check(SECRET, str(ADDRESSES))
        with pytest.raises(TooManyRequests, match="are being checked"):
            await password.check(SECRET, "0")


@pytest.mark.parametrize(
    "address_of",
    [
        lambda number: f"203.0.113.{number % 256}",
        lambda number: f"2001:db8:1:{number:x}::7",
        lambda number: f"2001:db8:1:1::{number:x}",
        lambda number: "203.0.113.9",
        lambda number: f"::ffff:203.0.113.{number % 256}",
    ],
    ids=["a /24", "a /48", "a /64", "one address", "mapped"],
)
async def test_guesses_from_changing_addresses_do_not_keep_a_newcomer_out(address_of: Callable[[int], str]) -> None:
    """Also where nobody has signed in since the start."""
    password = OwnerPassword(SECRET)
    async with guesses(password, [address_of(number) for number in range(4 * PLACES)]):
        await password.check(SECRET, "198.51.100.7")


@pytest.mark.parametrize(
    "addresses",
    [
        [f"2001:db8:1:1:{number}::1" for number in range(FAILURES_ALLOWED + 1)],
        ["203.0.113.9", "::ffff:203.0.113.9", "::ffff:cb00:7109", "203.0.113.9", "::ffff:203.0.113.9", "203.0.113.9"],
        [f"fe80::1%{scope}" for scope in ("eth0", "eth1", "a", "b", "c", "d")],
    ],
    ids=["addresses of one /64", "IPv4 written as IPv6", "scopes"],
)
async def test_another_spelling_or_address_of_the_same_host_gives_no_further_attempt(addresses: list[str]) -> None:
    password = OwnerPassword(SECRET)
    for address in addresses[:FAILURES_ALLOWED]:
        with pytest.raises(Unauthorized):
            await password.check("wrong", address)
    with pytest.raises(TooManyRequests, match="wrong passwords"):
        await password.check(SECRET, addresses[FAILURES_ALLOWED])


async def test_one_address_has_few_places() -> None:
    password = OwnerPassword(SECRET)
    async with guesses(password, ["203.0.113.9"] * PLACES_EACH):
        with pytest.raises(TooManyRequests, match="are being checked") as refused:
            await password.check(SECRET, "203.0.113.9")
        assert refused.value.details == {"retry_after_seconds": 1}


async def test_who_gives_up_waiting_leaves_the_line() -> None:
    password = OwnerPassword(SECRET)
    for _ in range(3):
        checks = [asyncio.create_task(password.check("wrong", f"x{number}")) for number in range(PLACES)]
        await asyncio.sleep(0)
        for check in checks:
            check.cancel()
        await asyncio.gather(*checks, return_exceptions=True)
    await password.check(SECRET, "owner")


@asynccontextmanager
async def guesses(password: OwnerPassword, addresses: list[str]) -> AsyncIterator[None]:
    """Wrong ones, all waiting at once while the block runs."""
    tasks = [asyncio.create_task(password.check(f"wrong {n}", address)) for n, address in enumerate(addresses)]
    await asyncio.sleep(0)
    yield
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_script_may_begin_with_many_requests_at_once() -> None:
    """More than there are places for one address: they send the same password, and it is checked once."""
    password = OwnerPassword(SECRET)
    await asyncio.gather(*(password.check(SECRET, "script") for _ in range(5 * PLACES_EACH)))


async def test_many_wrong_ones_at_once_are_counted_one_by_one() -> None:
    password = OwnerPassword(SECRET)
    answers = await asyncio.gather(*(password.check("wrong", "stranger") for _ in range(20)), return_exceptions=True)
    assert [type(answer) for answer in answers].count(Unauthorized) == FAILURES_ALLOWED
    assert all(isinstance(answer, Unauthorized | TooManyRequests) for answer in answers)
