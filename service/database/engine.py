"""One engine and one pool: ORM sessions for what is cold, the driver's own connection for what is hot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias, cast

import asyncpg
import msgspec
from sqlalchemy import URL, event, make_url
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

_encoder = msgspec.json.Encoder()
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


def create_engine(url: str, *, pool_size: int = 12) -> AsyncEngine:
    """An engine for `postgresql+asyncpg://…`; on the driver connection jsonb goes in as `str` and comes out decoded."""
    engine = create_async_engine(
        _for_asyncpg(url),
        pool_size=pool_size,
        max_overflow=8,
        pool_timeout=30,
        # SQLAlchemy wants str here; bytes fail in the asyncpg dialect.
        json_serializer=lambda value: _encoder.encode(value).decode(),
        json_deserializer=msgspec.json.decode,
        connect_args={
            "timeout": 10,
            "command_timeout": 60,
            # Searches have very uneven hit counts, and JIT only loses on them.
            "server_settings": {"application_name": "darkroom", "jit": "off"},
        },
    )
    event.listen(engine.sync_engine, "checkout", _replace_closed)
    return engine


def _for_asyncpg(url: str) -> URL:
    """Providers hand out `sslmode=…`, as libpq names it; asyncpg calls the same thing `ssl`."""
    parsed = make_url(url)
    mode = parsed.query.get("sslmode")
    return parsed.difference_update_query(["sslmode"]).update_query_dict({"ssl": mode}) if mode else parsed


def _replace_closed(connection: Any, _record: Any, _proxy: Any) -> None:
    """A connection that the server has closed gives way to a new one. The driver knows by itself; SQLAlchemy's pre-ping
    would ask the server, three times, before every use."""
    if connection.driver_connection.is_closed():
        raise DisconnectionError


class Database:
    """The pool, in two dialects of use."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self.sessions = async_sessionmaker(engine, expire_on_commit=False)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        """An ORM session in one transaction: committed at the end, rolled back on error."""
        async with self.sessions.begin() as session:
            yield session

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """The driver's connection, autocommitting each statement."""
        async with self.engine.connect() as pooled:
            raw = await pooled.get_raw_connection()
            connection = cast(Connection, cast(Any, raw.driver_connection))
            try:
                yield connection
            except (asyncio.CancelledError, TimeoutError):
                # Something may be on its way to the server, a BEGIN perhaps, of which nobody here will hear.
                await pooled.invalidate()
                raise
            finally:
                if not connection.is_closed() and connection.is_in_transaction():
                    await pooled.invalidate()  # the pool knows nothing of it, and would hand it on as it is

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """The driver's connection in one transaction (read committed)."""
        async with self.connection() as connection, connection.transaction():
            yield connection

    async def close(self) -> None:
        await self.engine.dispose()
