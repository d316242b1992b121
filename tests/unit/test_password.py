"""The owner's password: right, wrong, guessed at, and as a hash."""

from __future__ import annotations

import asyncio

import pytest
from argon2 import PasswordHasher

from service.access.password import ADDRESSES, FAILURES_ALLOWED, WINDOW, Attempts, OwnerPassword
from service.errors import StartupError, TooManyRequests, Unauthorized

SECRET = "correct horse"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_the_password_is_accepted_and_any_other_is_not() -> None:
    password = OwnerPassword(SECRET)
    await password.check(SECRET, "a")
    await password.check(SECRET, "a")
    for wrong in ("", "Correct horse", SECRET + " ", "x" * 5000):
        with pytest.raises(Unauthorized):
            await password.check(wrong, "a")


async def test_an_argon2_hash_stands_for_its_password_but_is_not_one_itself() -> None:
    hash = PasswordHasher(time_cost=1, memory_cost=64).hash(SECRET)
    password = OwnerPassword(hash)
    await password.check(SECRET, "a")
    with pytest.raises(Unauthorized):
        await password.check(hash, "a")


HASH = "$argon2id$v=19$m=64,t=1,p=4$4dmr7yRJ6QjhsKTi5jEppw$fiQg0Oo8QzRXYuDJdzCBCz1aU0MhUEq5VpMBmyyRY1M"


@pytest.mark.parametrize("broken", ["$argon2id$nonsense", HASH[:-1], HASH.rpartition("$")[0], HASH + "$", HASH[:40]])
def test_a_broken_hash_stops_the_start(broken: str) -> None:
    OwnerPassword(HASH)
    with pytest.raises(StartupError, match="argon2"):
        OwnerPassword(broken)


def test_the_hash_of_nothing_stops_the_start() -> None:
    with pytest.raises(StartupError, match="empty password"):
        OwnerPassword(PasswordHasher(time_cost=1, memory_cost=64).hash(""))


@pytest.mark.parametrize("secret", [SECRET, HASH])
def test_what_is_recorded_of_a_password_tells_it_from_others_and_holds_none(secret: str) -> None:
    record = OwnerPassword(secret).record
    assert OwnerPassword(secret, recorded=record).record == record
    assert secret not in record
    for other in ("another one", PasswordHasher(time_cost=1, memory_cost=64).hash(SECRET), record):
        if other.startswith("sha256"):
            continue
        assert OwnerPassword(other, recorded=record).record != record


async def test_after_five_failures_an_address_waits_and_others_do_not() -> None:
    clock = Clock()
    password = OwnerPassword(SECRET, clock)
    for _ in range(FAILURES_ALLOWED):
        with pytest.raises(Unauthorized):
            await password.check("wrong", "a")
    with pytest.raises(TooManyRequests) as refused:
        await password.check(SECRET, "a")
    assert refused.value.details == {"retry_after_seconds": 60}
    await password.check(SECRET, "b")
    clock.now += WINDOW + 1
    await password.check(SECRET, "a")


async def test_a_flood_of_guesses_at_once_gets_no_more_tries_than_one_after_the_other() -> None:
    password = OwnerPassword(SECRET)
    refused = 0
    for _ in range(3):
        results = await asyncio.gather(*(password.check("wrong", "a") for _ in range(50)), return_exceptions=True)
        assert all(isinstance(result, Unauthorized | TooManyRequests) for result in results)
        refused += sum(isinstance(result, Unauthorized) for result in results)
    assert refused == FAILURES_ALLOWED


def test_only_so_many_addresses_are_remembered() -> None:
    attempts = Attempts(Clock())
    for number in range(ADDRESSES + 10):
        for _ in range(FAILURES_ALLOWED):
            attempts.failed(str(number))
    attempts.admit("0")
    with pytest.raises(TooManyRequests):
        attempts.admit(str(ADDRESSES + 9))


def test_session_keys_change_with_the_password() -> None:
    assert OwnerPassword("one password").session_key("t") == OwnerPassword("one password").session_key("t")
    assert OwnerPassword("one password").session_key("t") != OwnerPassword("another one").session_key("t")
