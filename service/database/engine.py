"""The pool of connections to PostgreSQL: the driver's own. SQLAlchemy has the schema and its migrations."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar, cast

import asyncpg
import msgspec
from sqlalchemy import URL

from service.database.url import read
from service.errors import DatabaseAway, Unavailable

TRIES: Final = 3
MOST_CONNECTIONS: Final = 20
IDLE_SECONDS: Final = 300.0
"""A connection that was not used for so long is closed."""
COMMAND_SECONDS: Final = 60.0
END_SECONDS: Final = 2.0
CLOSE_SECONDS: Final = 5.0
NEVER: Final = 2**63 - 1
COSTLY_AT_ONCE: Final = 4
"""The part of the pool's connections for statements that may take seconds; the others stay for those of
milliseconds."""
COSTLY_WAITING: Final = 64

FIRST_OWN_OID: Final = 16384
"""Types below it are PostgreSQL's own, the same in each database (access/transam.h)."""

T = TypeVar("T")
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
if TYPE_CHECKING:
    _DriversConnection = asyncpg.Connection[asyncpg.Record]
else:
    _DriversConnection = asyncpg.Connection  # generic in the stubs alone
_TypesOfOids: TypeAlias = tuple[list[asyncpg.Record], Any]
_types_of_oids: Final[dict[frozenset[int], _TypesOfOids]] = {}


class _Connection(_DriversConnection):
    """On each connection, the driver asks the server what uuid[] and other arrays consist of, which costs the server
    6 ms of computing. One answer is enough for a process."""

    async def _introspect_types(self, typeoids: Iterable[int], timeout: float | None) -> _TypesOfOids:
        oids = frozenset(typeoids)
        if (known := _types_of_oids.get(oids)) is not None:
            return known
        rows, statement = await super()._introspect_types(typeoids, timeout)  # type: ignore[misc]
        if max(oids) < FIRST_OWN_OID:
            # Of the statement that asked, the driver reads the name alone: an unnamed one replaced the caller's.
            _types_of_oids[oids] = rows, SimpleNamespace(name="not asked")
        return rows, statement


async def _prepare(connection: Connection) -> None:
    """Each new connection: jsonb goes in as `str` and comes out decoded."""
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        format="binary",
        # The server's binary form is text behind a version number.
        encoder=lambda text: b"\x01" + text.encode(),
        decoder=lambda content: msgspec.json.decode(content[1:]),
    )
    await connection.set_type_codec(
        "json", schema="pg_catalog", format="binary", encoder=str.encode, decoder=msgspec.json.decode
    )
    # Searches have very uneven hit counts, and JIT only loses on them. Not every pooler takes it as a parameter of the
    # start.
    await connection.execute("SET jit = off")


async def _reset(_connection: Connection) -> None:
    """The driver would ask the server to reset the session after each use. Nothing here changes a session: settings are
    local to their transactions, and locks end with them."""


class Database:
    """The pool. DatabaseAway when it gives no connection, or the server breaks one off."""

    def __init__(self, url: str, *, size: int = MOST_CONNECTIONS, wait_seconds: float = 30.0) -> None:
        """Connects when it is first used; `wait_seconds` is how long one may wait for a connection."""
        self._given = read(url)
        self._size = size
        self._wait_seconds = wait_seconds
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._costly = asyncio.Semaphore(COSTLY_AT_ONCE)
        self._costly_waiting = 0

    @property
    def url(self) -> URL:
        """For SQLAlchemy, which migrates with connections of its own."""
        return self._given.url

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """The driver's connection, autocommitting each statement."""
        try:
            pool = await self._opened()
            proxy = await pool.acquire(timeout=self._wait_seconds)
        except _NO_CONNECTION as error:
            raise DatabaseAway from error
        connection = cast(Connection, proxy)
        try:
            yield connection
        except asyncio.CancelledError:
            # Something may be on its way to the server, a BEGIN perhaps, of which nobody here will hear.
            await _end(connection)
            raise
        except TimeoutError as error:
            await _end(connection)
            raise DatabaseAway from error
        except Exception as error:
            if _is_servers_trouble(error) or (isinstance(error, OSError) and _is_closed(connection)):
                raise DatabaseAway from error
            raise
        finally:
            if not _is_closed(connection) and connection.is_in_transaction():
                _terminate(connection)  # the pool knows nothing of it, and would hand it on as it is
            await pool.release(proxy)

    @asynccontextmanager
    async def costly_connection(self) -> AsyncIterator[Connection]:
        """As `connection`, for what may take seconds: a few at once, and the others wait. Unavailable when too many
        wait already."""
        if self._costly_waiting >= COSTLY_WAITING:
            raise Unavailable("too many searches at once: try again in a moment")
        self._costly_waiting += 1
        try:
            await self._costly.acquire()
        finally:
            self._costly_waiting -= 1
        try:
            async with self.connection() as connection:
                yield connection
        finally:
            self._costly.release()

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

    @property
    def in_use(self) -> int:
        """How many connections are handed out."""
        return self._pool.get_size() - self._pool.get_idle_size() if self._pool is not None else 0

    async def close(self) -> None:
        if self._pool is None:
            return
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._pool.close()
        except _NO_CONNECTION:
            self._pool.terminate()

    async def _opened(self) -> asyncpg.Pool[asyncpg.Record]:
        if self._pool is None:
            arguments: dict[str, Any] = {
                # The one parameter of a start that every pooler takes.
                "server_settings": {"application_name": self._given.application_name},
                "command_timeout": COMMAND_SECONDS,
                **self._given.driver_arguments,
            }
            self._pool = asyncpg.create_pool(
                min_size=0,
                max_size=self._size,
                max_queries=NEVER,
                max_inactive_connection_lifetime=IDLE_SECONDS,
                init=_prepare,
                reset=_reset,
                connection_class=_Connection,
                **arguments,
            )
        await self._pool  # at once, as no connection is made before it is asked for
        return self._pool


def _is_closed(connection: Connection) -> bool:
    try:
        return connection.is_closed()
    except asyncpg.InterfaceError:
        return True  # the pool has it back already, as it broke


def _terminate(connection: Connection) -> None:
    if not _is_closed(connection):
        connection.terminate()


async def _end(connection: Connection) -> None:
    """Closes it once the server was told to cancel the statement that runs; terminating it would leave that running. A
    server that does not answer is waited for only `END_SECONDS`."""
    if not _is_closed(connection):
        with suppress(*_NO_CONNECTION):
            await asyncio.shield(connection.close(timeout=END_SECONDS))


_NO_CONNECTION = (
    OSError,  # refused, no such host or socket, and a TimeoutError: none became free in time, or the server is silent
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


def _is_servers_trouble(error: BaseException) -> bool:
    """Whether a statement failed for reasons that are not its own."""
    # A ValueError is the driver's word for an argument that it cannot send.
    return isinstance(error, _SERVERS_TROUBLE) and not isinstance(error, ValueError)
