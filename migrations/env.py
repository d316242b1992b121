"""Alembic's entry: on the connection it is handed (start-up, tests), or for the `alembic` command on its own.

The command uses DARKROOM_DATABASE_URL when it is set, else a scratch server already at the newest revision, so that
`alembic check` and `alembic revision --autogenerate` need no preparation.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path

from alembic import context
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, NullPool
from sqlalchemy.ext.asyncio import create_async_engine

from service.database.embedded.server import EmbeddedPostgres
from service.database.migrate import build_indexes
from service.database.models import Base
from service.database.url import read


def migrate(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        compare_type=True,
        compare_server_default=True,
    )
    with context.begin_transaction():
        context.run_migrations()


def to_newest(connection: Connection) -> None:
    """What `alembic upgrade head` does; that command cannot run inside another one."""
    script = context.script

    def steps(revision: str, _: MigrationContext) -> object:
        return script._upgrade_revs("head", revision)  # noqa: SLF001 (alembic's own commands do the same)

    migrations = MigrationContext.configure(connection, opts={"fn": steps})
    with Operations.context(migrations):
        migrations.run_migrations()


async def migrate_at(url: str, *, scratch: bool = False) -> None:
    engine = create_async_engine(read(url).url, poolclass=NullPool)
    if scratch:
        async with engine.begin() as connection:
            await connection.run_sync(to_newest)
        await build_indexes(engine)
    async with engine.begin() as connection:
        await connection.run_sync(migrate)
    await engine.dispose()


async def migrate_scratch() -> None:
    with tempfile.TemporaryDirectory(prefix="darkroom-alembic-") as folder:
        Path(folder).chmod(0o755)  # as root, the server is another user
        postgres = EmbeddedPostgres(Path(folder) / "postgres", {"fsync": "off"})
        try:
            await migrate_at(await postgres.start(), scratch=True)
        finally:
            await postgres.stop()


given = context.config.attributes.get("connection")
if given is not None:
    migrate(given)
elif "DARKROOM_DATABASE_URL" in os.environ:
    asyncio.run(migrate_at(os.environ["DARKROOM_DATABASE_URL"]))
else:
    asyncio.run(migrate_scratch())
