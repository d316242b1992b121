"""Browser sessions: a random token in a cookie, stored hashed, living thirty days from its last use."""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from service.access.password import OwnerPassword
from service.access.visitor import Visitor
from service.database.engine import Database

LIFETIME: Final = timedelta(days=30)
RENEWED_AFTER: Final = timedelta(days=1)
REMEMBERED_FOR: Final = 30.0
"""How many seconds another process's sign-out may go unnoticed here."""
REMEMBERED: Final = 1024

EXPIRES_AT: Final = "SELECT expires_at FROM web_sessions WHERE token_hash = $1 AND expires_at > $2"


def _now() -> datetime:
    return datetime.now(UTC)


class Sessions:
    """The one reader and writer of `web_sessions`."""

    def __init__(
        self,
        database: Database,
        password: OwnerPassword,
        *,
        now: Callable[[], datetime] = _now,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self.password = password
        self._now = now
        self._clock = clock
        self._remembered: OrderedDict[str, tuple[Visitor, float]] = OrderedDict()

    async def create(self) -> str:
        """A new session; its token is known to the browser alone."""
        token = secrets.token_urlsafe(32)
        now = self._now()
        async with self._database.connection() as connection:
            await connection.execute(
                "INSERT INTO web_sessions (token_hash, created_at, expires_at) VALUES ($1, $2, $3)",
                self.password.session_key(token),
                now,
                now + LIFETIME,
            )
        return token

    async def find(self, token: str) -> Visitor | None:
        """The session of a token, if it lives; used at least a day after its last renewal, it is renewed."""
        key = self.password.session_key(token)
        now = self._now()
        visitor, read_at = self._remembered.get(key, (None, 0.0))
        if visitor is None or self._clock() - read_at > REMEMBERED_FOR:
            visitor = await self._read(key, now)
            self._remembered.pop(key, None)
            if visitor is None:
                return None
            self._remembered[key] = (visitor, self._clock())
            while len(self._remembered) > REMEMBERED:
                self._remembered.popitem(last=False)
        if visitor.expires_at is None or visitor.expires_at <= now:
            return None
        return visitor

    async def expires_at(self, session: str) -> datetime | None:
        """Until when it lives, as it was last renewed; None when it has ended."""
        async with self._database.connection() as connection:
            expires_at: datetime | None = await connection.fetchval(EXPIRES_AT, session, self._now())
        return expires_at

    async def end(self, session: str) -> None:
        """Sign out: the token is worth nothing from here on."""
        self._remembered.pop(session, None)
        async with self._database.connection() as connection:
            await connection.execute("DELETE FROM web_sessions WHERE token_hash = $1", session)

    async def sweep(self) -> None:
        """Forget what has expired (for the supervisor)."""
        async with self._database.connection() as connection:
            await connection.execute("DELETE FROM web_sessions WHERE expires_at <= $1", self._now())

    async def _read(self, key: str, now: datetime) -> Visitor | None:
        async with self._database.connection() as connection:
            expires_at: datetime | None = await connection.fetchval(EXPIRES_AT, key, now)
            if expires_at is None:
                return None
            # Beyond its lifetime it was renewed before our clock was set back.
            if not now + LIFETIME - RENEWED_AFTER <= expires_at <= now + LIFETIME:
                expires_at = now + LIFETIME
                await connection.execute(
                    "UPDATE web_sessions SET expires_at = $2 WHERE token_hash = $1", key, expires_at
                )
        return Visitor(session=key, expires_at=expires_at)
