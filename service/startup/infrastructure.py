"""Opens data folder, database and runtime settings, in this order, and migrates the database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

import asyncpg
import structlog
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from service.config.runtime_settings import RuntimeSettings
from service.config.settings import Settings
from service.database.embedded.server import EmbeddedPostgres
from service.database.embedded.watch import Watch
from service.database.engine import MOST_CONNECTIONS, Database
from service.database.migrate import upgrade
from service.database.preconditions import check, creation
from service.database.url import DatabaseUrl
from service.database.url import read as read_url
from service.errors import StartupError
from service.media.storage import LocalStorage
from service.runtime.supervisor import Supervisor
from service.startup import data_folder

UNUSABLE: Final = (
    OSError,
    SQLAlchemyError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    ValueError,  # the driver's, about parameters of the URL
)

log = structlog.get_logger()


@dataclass(frozen=True)
class Infrastructure:
    database: Database
    storage: LocalStorage
    runtime_settings: RuntimeSettings
    supervisor: Supervisor


@asynccontextmanager
async def open_infrastructure(settings: Settings, give_up: Callable[[str], None]) -> AsyncIterator[Infrastructure]:
    """Opens all in this order, and closes in reverse, tasks first. StartupError says what is wrong."""
    async with AsyncExitStack() as closing:
        closing.enter_context(data_folder.held(settings.data))
        supervisor = Supervisor()
        url = settings.database_url
        if url is None:
            postgres = EmbeddedPostgres(settings.data / "postgres")
            url = await postgres.start()
            closing.push_async_callback(postgres.stop)
            closing.push_async_callback(supervisor.aclose)
            supervisor.start("database server", Watch(postgres, give_up).run)
        database = Database(url)
        closing.push_async_callback(database.close)
        await _migrate(database, url, is_embedded=settings.database_url is None)
        storage = LocalStorage(settings.data)
        await data_folder.claim(database, storage)
        storage.take_search_mark()
        closing.callback(storage.leave_search_mark)
        runtime_settings = RuntimeSettings()
        await runtime_settings.load(database)
        closing.push_async_callback(supervisor.aclose)
        yield Infrastructure(database, storage, runtime_settings, supervisor)


async def _migrate(database: Database, url: str, *, is_embedded: bool) -> None:
    given = read_url(url)
    if given.left_out:
        log.warning("parameters of DARKROOM_DATABASE_URL that are not supported", left_out=given.left_out)
    try:
        if not is_embedded:
            await check(given)
        await upgrade(database.url)
    except UNUSABLE as error:
        raise StartupError(f"the database {given.place} cannot be used: {_in_words(error, given)}") from error


def _in_words(error: Exception, url: DatabaseUrl) -> str:
    """The error of the server or the driver as a message, and what to do about it."""
    if isinstance(error, TimeoutError):
        return f"it did not answer in {url.connect_timeout:g} seconds"
    words = str(error.orig) if isinstance(error, DBAPIError) and error.orig is not None else str(error)
    match error:
        case asyncpg.InvalidCatalogNameError():
            advice = f"Make it with {creation(url.url.database or 'darkroom', url.url.username or 'darkroom')}"
        case asyncpg.TooManyConnectionsError():
            advice = f"Darkroom uses up to {MOST_CONNECTIONS} connections"
        case asyncpg.ProtocolViolationError() if "startup parameter" in words:
            advice = "The pooler takes no such parameter: leave it out of DARKROOM_DATABASE_URL"
        case asyncpg.ClientConfigurationError() if "root.crt" in words:
            advice = "sslrootcert=FILE names another one, and sslrootcert=system takes the machine's own certificates"
        case _:
            return words
    return f"{words}. {advice}"
