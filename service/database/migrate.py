"""Migrates a database's schema to this release at every start; several processes may do it at once.

A change of rows or columns is a migration; all missing ones run in one transaction. Building an index would lock a
large table for a long time: it is declared with `postgresql_concurrently`, and built after that, outside of any
transaction.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import URL, Connection, Index, NullPool, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.schema import CreateIndex, DropIndex

from service.database.models import Base
from service.errors import StartupError

LOCK = 0x6461726B726F6F6D  # "darkroom"
TURN_SECONDS = 0.1
IS_VALID = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)"


async def upgrade(url: URL | str) -> None:
    """Migrates to the newest revision in one transaction, wholly or not at all, then builds missing indexes, one by
    one. Call it before serving."""
    # Not from the pool: a migration may take longer than its timeout, and DDL invalidates its prepared statements.
    migrating = create_async_engine(url, poolclass=NullPool)
    try:
        while not await _migrate(migrating):  # noqa: ASYNC110 (another process tells nothing)
            await asyncio.sleep(TURN_SECONDS)
        await build_indexes(migrating)
    finally:
        await migrating.dispose()


async def build_indexes(engine: AsyncEngine) -> None:
    """Builds the indexes that are declared as concurrent. One that a kill left half built is built anew."""
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        while not await connection.scalar(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": LOCK}):  # noqa: ASYNC110
            await asyncio.sleep(TURN_SECONDS)
        for table in Base.metadata.sorted_tables:
            for index in sorted(table.indexes, key=lambda index: index.name or ""):
                if index.dialect_options["postgresql"]["concurrently"]:
                    await _build(connection, index)


async def _migrate(engine: AsyncEngine) -> bool:
    """False while another process migrates. A process that waited inside of a statement would block the building of an
    index."""
    async with engine.begin() as connection:
        is_turn: bool = await connection.scalar(text("SELECT pg_try_advisory_xact_lock(:lock)"), {"lock": LOCK})
        if is_turn:
            await connection.run_sync(_upgrade)
    return is_turn


async def _build(connection: AsyncConnection, index: Index) -> None:
    is_valid = await connection.scalar(text(IS_VALID), {"name": index.name})
    if is_valid is False:
        await connection.execute(DropIndex(index))
    if not is_valid:
        await connection.execute(CreateIndex(index))


def configuration() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parents[2] / "migrations").replace("%", "%%"))
    return config


def _upgrade(connection: Connection) -> None:
    config = configuration()
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        newest = ScriptDirectory.from_config(config).get_current_head()
        raise StartupError(
            f"the database was migrated by a newer Darkroom (this one knows revisions up to {newest}): {error}"
        ) from error
