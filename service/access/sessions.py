"""Web sessions of signed-in browsers: a random token in a cookie, stored hashed, valid for thirty days after use."""

from __future__ import annotations

import asyncio
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
"""Seconds that another process's sign-out may go unnoticed here."""
REMEMBERED: Final = 1024

RECORDED: Final = "SELECT value #>> '{}' FROM settings WHERE key = 'password'"
RECORD: Final = """
    INSERT INTO settings (key, value) VALUES ('password', to_jsonb($1::text))
    ON CONFLICT (key) DO UPDATE SET value = excluded.value
"""
FORGET_RECORD: Final = "DELETE FROM settings WHERE key = 'password'"
END_ALL: Final = "DELETE FROM web_sessions"
EXPIRES_AT: Final = "SELECT expires_at FROM web_sessions WHERE token_hash = $1 AND expires_at > $2"


def _now() -> datetime:
    return datetime.now(UTC)


async def open_sessions(database: Database, secret: str | None) -> Sessions | None:
    """The web sessions of this password; None without a password. Sessions made under another password are deleted:
    they would be valid again if that password were set once more."""
    async with database.connection() as connection:
        recorded: str | None = await connection.fetchval(RECORDED)
    password = None if secret is None else await asyncio.to_thread(OwnerPassword, secret, recorded=recorded)
    record = None if password is None else password.record
    if record != recorded:
        async with database.transaction() as connection:
            # A library from an earlier release has no record: its sessions stay, so that nobody is signed out by the
            # change.
            if recorded is not None:
                await connection.execute(END_ALL)
            await (connection.execute(RECORD, record) if record else connection.execute(FORGET_RECORD))
    return None if password is None else Sessions(database, password)


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
        """Creates a session. Only the browser knows its token."""
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
        """The session of a token, if it is valid. If it is used at least a day after its last renewal, it is
        renewed."""
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
        """When it expires, as it was last renewed; None when it has ended."""
        async with self._database.connection() as connection:
            expires_at: datetime | None = await connection.fetchval(EXPIRES_AT, session, self._now())
        return expires_at

    async def end(self, session: str) -> None:
        """Signs out: the token is invalid from here on."""
        self._remembered.pop(session, None)
        async with self._database.connection() as connection:
            await connection.execute("DELETE FROM web_sessions WHERE token_hash = $1", session)

    async def sweep(self) -> None:
        """Deletes expired sessions (for the supervisor)."""
        async with self._database.connection() as connection:
            await connection.execute("DELETE FROM web_sessions WHERE expires_at <= $1", self._now())

    async def _read(self, key: str, now: datetime) -> Visitor | None:
        async with self._database.connection() as connection:
            expires_at: datetime | None = await connection.fetchval(EXPIRES_AT, key, now)
            if expires_at is None:
                return None
            # A longer time left than a lifetime: it was renewed before our clock was set back.
            if not now + LIFETIME - RENEWED_AFTER <= expires_at <= now + LIFETIME:
                expires_at = now + LIFETIME
                await connection.execute(
                    "UPDATE web_sessions SET expires_at = $2 WHERE token_hash = $1", key, expires_at
                )
        return Visitor(session=key, expires_at=expires_at)
