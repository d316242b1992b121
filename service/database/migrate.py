"""Bring a database's schema to this release's, at every start; safe when several processes do it at once."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, NullPool, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from service.errors import StartupError

OLDEST_SERVER = 15
LOCK = 0x6461726B726F6F6D  # "darkroom"


async def upgrade(engine: AsyncEngine) -> None:
    """Migrate to the newest revision in one transaction: wholly or not at all. Call it before serving."""
    # Not from the pool: a migration may take longer than its timeout, and DDL spoils its prepared statements.
    migrating = create_async_engine(engine.url, poolclass=NullPool)
    try:
        async with migrating.begin() as connection:
            await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
            await connection.run_sync(_upgrade)
    finally:
        await migrating.dispose()


def configuration() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parents[2] / "migrations").replace("%", "%%"))
    return config


def _upgrade(connection: Connection) -> None:
    major = int(connection.scalar(text("SHOW server_version_num")) or 0) // 10_000
    if major < OLDEST_SERVER:
        raise StartupError(f"the database server is PostgreSQL {major}; Darkroom needs {OLDEST_SERVER} or newer")
    config = configuration()
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        newest = ScriptDirectory.from_config(config).get_current_head()
        raise StartupError(
            f"the database was migrated by a newer Darkroom (this one knows revisions up to {newest}): {error}"
        ) from error
