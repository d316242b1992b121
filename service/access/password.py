"""The owner's password: verified with argon2 in a thread, with a bound on how often it may be guessed."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from service.access.waiting import Caller, Line, caller
from service.errors import StartupError, TooManyRequests, Unauthorized

FAILURES_ALLOWED: Final = 5
WINDOW: Final = 60.0
"""Seconds in which an address may have so many failures."""
ADDRESSES: Final = 1024
"""How many addresses are kept in memory: those that failed, and those that knew the password."""
LONGEST: Final = 1024


class OwnerPassword:
    """`secret` is the password or its argon2 hash (`$argon2…`), for owners who keep no plain text. `recorded` is the
    hash that was recorded at the last start."""

    def __init__(
        self, secret: str, clock: Callable[[], float] = time.monotonic, *, recorded: str | None = None
    ) -> None:
        self._hasher = PasswordHasher()
        if secret.startswith("$argon2"):
            self._hash = _checked(secret)
            self.record = "sha256 " + hashlib.sha256(secret.encode()).hexdigest()
        else:
            self._hash = recorded if recorded and self._is_hash_of(secret, recorded) else self._hasher.hash(secret)
            self.record = self._hash
        # Web sessions are keyed by the secret, so changing the password ends them all.
        self._key = hashlib.sha256(b"darkroom session\0" + secret.encode()).digest()
        self._attempts = Attempts(clock)
        self._strangers = Line()
        self._known = Line()
        self._proven: OrderedDict[str, bytes] = OrderedDict()
        self._checking: dict[tuple[str, bytes], asyncio.Event] = {}
        """One check at a time of a visitor's password; the same requests of that visitor wait for it. A script that
        begins with many requests at once takes one place in the line."""

    def session_key(self, token: str) -> str:
        """What is stored of a session's token. It is useless without both the token and the password."""
        return hmac.new(self._key, token.encode(), hashlib.sha256).hexdigest()

    async def check(self, candidate: str, address: str) -> None:
        """Raises Unauthorized for a wrong password, and TooManyRequests after five failures of an address in a minute.

        An address that has used up its attempts gets the same answer to the right password as to a wrong one: else it
        could go on guessing and wait for the answer that differs. A visitor who has signed in since the start does not
        wait behind strangers.
        """
        who = caller(address)
        self._attempts.admit(who.visitor)
        digest = hmac.new(self._key, candidate.encode(), hashlib.sha256).digest()
        while (same := self._checking.get((who.visitor, digest))) is not None:
            await same.wait()
            self._attempts.admit(who.visitor)
        if self._has_proven(who.visitor, digest):
            return
        done = self._checking[who.visitor, digest] = asyncio.Event()
        try:
            await self._verify(who, candidate)
            self._remember(who.visitor, digest)
        finally:
            del self._checking[who.visitor, digest]
            done.set()

    async def _verify(self, who: Caller, candidate: str) -> None:
        line = self._known if who.visitor in self._proven else self._strangers
        async with line.turn(who):
            self._attempts.admit(who.visitor)
            if len(candidate) > LONGEST or not await asyncio.to_thread(self._is_hash_of, candidate, self._hash):
                self._attempts.failed(who.visitor)
                raise Unauthorized("wrong password")

    def _has_proven(self, visitor: str, digest: bytes) -> bool:
        """Whether this visitor has sent this password before and argon2 accepted it. Scripts send the password with
        every request: they pay for argon2 once, and do not wait behind the guesses of other addresses."""
        proven = self._proven.get(visitor)
        if proven is None or not hmac.compare_digest(digest, proven):
            return False
        self._proven.move_to_end(visitor)
        return True

    def _remember(self, visitor: str, digest: bytes) -> None:
        self._proven[visitor] = digest
        self._proven.move_to_end(visitor)
        while len(self._proven) > ADDRESSES:
            self._proven.popitem(last=False)

    def _is_hash_of(self, candidate: str, hash: str) -> bool:
        try:
            return self._hasher.verify(hash, candidate)
        except (VerificationError, InvalidHashError):
            return False


class Attempts:
    """Failed attempts of the last minute, by address. The least recent addresses are forgotten."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, list[float]] = OrderedDict()

    def admit(self, address: str) -> None:
        """Raises TooManyRequests, with the seconds to wait in its details, if the address has used up its attempts."""
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
    """The hash, if argon2 can read all of it."""
    try:
        PasswordHasher().verify(hash, "")
    except VerifyMismatchError:
        return hash
    except (VerificationError, InvalidHashError) as error:
        raise StartupError(
            "DARKROOM_PASSWORD begins like an argon2 hash, but is none, or only a part of one:"
            " was it cut off, or were its `$` replaced on the way?"
        ) from error
    raise StartupError("DARKROOM_PASSWORD is the hash of an empty password: anybody could sign in")
