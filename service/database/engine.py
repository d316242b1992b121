"""One engine and one pool: ORM sessions for what is cold, the driver's own connection for what is hot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, Final, TypeAlias, TypeVar, cast

import asyncpg
import msgspec
from sqlalchemy import URL, event, make_url
from sqlalchemy.exc import DBAPIError, DisconnectionError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from service.errors import DatabaseAway

TRIES: Final = 3

T = TypeVar("T")
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
    """The pool, in two dialects of use. DatabaseAway when it gives no connection, or the server breaks one off."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self.sessions = async_sessionmaker(engine, expire_on_commit=False)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        """An ORM session in one transaction: committed at the end, rolled back on error."""
        try:
            async with self.sessions.begin() as session:
                try:
                    await session.connection()
                except _NO_CONNECTION as error:
                    raise DatabaseAway from error
                yield session
        except DBAPIError as error:
            cause = error.orig.__cause__ if error.orig is not None else None
            if error.connection_invalidated or _is_servers_trouble(cause):
                raise DatabaseAway from error
            raise

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """The driver's connection, autocommitting each statement."""
        async with AsyncExitStack() as closing:
            try:
                pooled = await closing.enter_async_context(self.engine.connect())
                raw = await pooled.get_raw_connection()
            except _NO_CONNECTION as error:
                raise DatabaseAway from error
            connection = cast(Connection, cast(Any, raw.driver_connection))
            try:
                yield connection
            except asyncio.CancelledError:
                # Something may be on its way to the server, a BEGIN perhaps, of which nobody here will hear.
                await pooled.invalidate()
                raise
            except TimeoutError as error:
                await pooled.invalidate()
                raise DatabaseAway from error
            except Exception as error:
                if _is_servers_trouble(error) or (isinstance(error, OSError) and connection.is_closed()):
                    raise DatabaseAway from error
                raise
            finally:
                if not connection.is_closed() and connection.is_in_transaction():
                    await pooled.invalidate()  # the pool knows nothing of it, and would hand it on as it is

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """The driver's connection in one transaction (read committed)."""
        async with self.connection() as connection, connection.transaction():
            yield connection

    async def repeated(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """What `work` returns, in a transaction; a deadlock with another one is tried again."""
        for _ in range(TRIES - 1):
            with suppress(asyncpg.DeadlockDetectedError):
                async with self.transaction() as connection:
                    return await work(connection)
        async with self.transaction() as connection:
            return await work(connection)

    async def close(self) -> None:
        await self.engine.dispose()


_NO_CONNECTION = (
    SQLAlchemyError,  # the pool's own: none became free in time
    OSError,  # refused, no such host or socket, and a TimeoutError
    asyncpg.PostgresError,  # the server's words: starting, shutting down, too many clients, no such database or login
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
"""What may come of asking for a connection."""

_SERVERS_TROUBLE = (
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # shutdowns, a crash, a query that an administrator ended
    asyncpg.InsufficientResourcesError,  # its disk or memory is full
    asyncpg.PostgresSystemError,  # it cannot read or write its files
    asyncpg.ReadOnlySQLTransactionError,  # it has become a standby
    asyncpg.InterfaceError,  # the driver, about a connection that was closed or broke oddly
    asyncpg.InternalClientError,
)


def _is_servers_trouble(error: BaseException | None) -> bool:
    """Whether a statement failed for reasons that are not its own."""
    # A ValueError is the driver's word for an argument that it cannot send.
    return isinstance(error, _SERVERS_TROUBLE) and not isinstance(error, ValueError)
