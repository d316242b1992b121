"""The limit on wrong passwords holds for an address whatever it sends, and costs other addresses nothing."""

from __future__ import annotations

import asyncio

import pytest
from argon2 import PasswordHasher

from service.access.password import ADDRESSES, FAILURES_ALLOWED, WAITING_ALLOWED, WINDOW, OwnerPassword
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
    guesses = [asyncio.create_task(password.check("wrong", str(number))) for number in range(WAITING_ALLOWED)]
    await asyncio.sleep(0)
    await password.check(SECRET, "script")
    with pytest.raises(TooManyRequests, match="are being checked"):
        await password.check(SECRET, "newcomer")
    await asyncio.gather(*guesses, return_exceptions=True)


async def test_only_so_many_addresses_are_remembered_as_proven() -> None:
    """The oldest proves itself again, like a new one: seen by its waiting for a turn that it would not have needed."""
    password = OwnerPassword(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(SECRET))
    for number in range(ADDRESSES + 1):
        await password.check(SECRET, str(number))
    guesses = [asyncio.create_task(password.check("wrong", f"x{number}")) for number in range(WAITING_ALLOWED)]
    await asyncio.sleep(0)
    await password.check(SECRET, str(ADDRESSES))
    with pytest.raises(TooManyRequests, match="are being checked"):
        await password.check(SECRET, "0")
    await asyncio.gather(*guesses, return_exceptions=True)
