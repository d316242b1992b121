"""What everything stands on: the data folder held, the database running and migrated, both belonging together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import asyncpg
from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError

from service import data_folder
from service.database.embedded import EmbeddedPostgres
from service.database.engine import Database, create_engine
from service.database.migrate import upgrade
from service.database.watch import Watch
from service.errors import StartupError
from service.media.storage import LocalStorage
from service.runtime_settings import RuntimeSettings
from service.settings import Settings
from service.supervisor import Supervisor


@dataclass(frozen=True)
class Foundation:
    database: Database
    storage: LocalStorage
    runtime_settings: RuntimeSettings
    supervisor: Supervisor


@asynccontextmanager
async def laid(settings: Settings, give_up: Callable[[str], None]) -> AsyncIterator[Foundation]:
    """Opened in this order and closed in reverse, tasks first. StartupError says what is in the way."""
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
        database = Database(create_engine(url))
        closing.push_async_callback(database.close)
        await _migrate(database, url)
        storage = LocalStorage(settings.data)
        await data_folder.claim(database, storage)
        runtime_settings = RuntimeSettings()
        await runtime_settings.load(database)
        closing.push_async_callback(supervisor.aclose)
        yield Foundation(database, storage, runtime_settings, supervisor)


async def _migrate(database: Database, url: str) -> None:
    try:
        await upgrade(database.engine)
    except (OSError, SQLAlchemyError, asyncpg.PostgresError, TypeError, ValueError) as error:
        # The last two for what stands behind the question mark: the driver takes it as arguments.
        where = make_url(url).render_as_string(hide_password=True)
        raise StartupError(f"the database {where} cannot be used: {error}") from error
