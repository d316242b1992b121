"""The owner's password: verified with argon2 away from the event loop, and guessed at no faster than we allow."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from service.errors import StartupError, TooManyRequests, Unauthorized

FAILURES_ALLOWED: Final = 5
WINDOW: Final = 60.0
"""Seconds in which so many failures of one address are borne."""
ADDRESSES: Final = 1024
"""How many addresses are remembered: of those that failed, and of those that knew the password."""
WAITING_ALLOWED: Final = 8
LONGEST: Final = 1024


class OwnerPassword:
    """`secret` is the password itself, or its argon2 hash (`$argon2…`), for who keeps no plain text."""

    def __init__(self, secret: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._hasher = PasswordHasher()
        self._hash = _checked(secret) if secret.startswith("$argon2") else self._hasher.hash(secret)
        # Sessions are keyed by the secret, so that changing the password ends them all.
        self._key = hashlib.sha256(b"darkroom session\0" + secret.encode()).digest()
        self._attempts = Attempts(clock)
        self._turn = asyncio.Semaphore(1)
        self._waiting = 0
        self._proven: OrderedDict[str, bytes] = OrderedDict()

    def session_key(self, token: str) -> str:
        """What is stored of a session's token: useless without both the token and the password."""
        return hmac.new(self._key, token.encode(), hashlib.sha256).hexdigest()

    async def check(self, candidate: str, address: str) -> None:
        """Unauthorized if it is not the password; TooManyRequests after five failures of an address in a minute.

        An address that has used up its attempts gets the same answer to the right password as to a wrong one: else it
        could go on guessing and wait for the answer that differs.
        """
        self._attempts.admit(address)
        digest = hmac.new(self._key, candidate.encode(), hashlib.sha256).digest()
        if self._has_proven(address, digest):
            return
        if self._waiting >= WAITING_ALLOWED:
            raise TooManyRequests("too many passwords are being checked: try again in a moment")
        self._waiting += 1
        try:
            async with self._turn:
                self._attempts.admit(address)
                right = len(candidate) <= LONGEST and await asyncio.to_thread(self._verify, candidate)
                if not right:
                    self._attempts.failed(address)
                    raise Unauthorized("wrong password")
        finally:
            self._waiting -= 1
        self._remember(address, digest)

    def _has_proven(self, address: str, digest: bytes) -> bool:
        """Whether this address has sent this password before and argon2 accepted it. Scripts send the password with
        every request: they pay for argon2 once, and do not queue behind the guesses of other addresses."""
        proven = self._proven.get(address)
        if proven is None or not hmac.compare_digest(digest, proven):
            return False
        self._proven.move_to_end(address)
        return True

    def _remember(self, address: str, digest: bytes) -> None:
        self._proven[address] = digest
        self._proven.move_to_end(address)
        while len(self._proven) > ADDRESSES:
            self._proven.popitem(last=False)

    def _verify(self, candidate: str) -> bool:
        try:
            return self._hasher.verify(self._hash, candidate)
        except VerificationError:
            return False


class Attempts:
    """Failed attempts of the last minute, by address; of the least recent addresses none are remembered."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, list[float]] = OrderedDict()

    def admit(self, address: str) -> None:
        """TooManyRequests, with the seconds to wait in its details, when the address has used up its attempts."""
        now = self._clock()
        recent = [failure for failure in self._failures.get(address, ()) if failure > now - WINDOW]
        if len(recent) < FAILURES_ALLOWED:
            return
        seconds = max(1, round(recent[0] + WINDOW - now))
        raise TooManyRequests(
            f"too many wrong passwords: try again in {seconds} seconds", {"retry_after_seconds": seconds}
        )

    def failed(self, address: str) -> None:
        now = self._clock()
        failures = self._failures.pop(address, [])
        self._failures[address] = [failure for failure in failures if failure > now - WINDOW] + [now]
        while len(self._failures) > ADDRESSES:
            self._failures.popitem(last=False)


def _checked(hash: str) -> str:
    """A hash that argon2 can read."""
    try:
        PasswordHasher().check_needs_rehash(hash)
    except InvalidHashError as error:
        raise StartupError("DARKROOM_PASSWORD begins like an argon2 hash, but is none") from error
    return hash
