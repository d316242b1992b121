"""The migrations make exactly the schema of models.py, from any state and from several processes at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, NullPool, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from service.database.migrate import configuration, upgrade
from service.database.models import Base
from service.errors import StartupError

SCHEMA = """
    SELECT 'column', attrelid::regclass::text, attname, format_type(atttypid, atttypmod), attnotnull, attidentity::text,
           attgenerated::text, pg_get_expr(adbin, adrelid)
      FROM pg_attribute
      JOIN pg_class ON pg_class.oid = attrelid AND relkind = 'r' AND relnamespace = 'public'::regnamespace
      LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
     WHERE attnum > 0 AND NOT attisdropped AND relname <> 'alembic_version'
    UNION ALL
    SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid), null, null, null, null
      FROM pg_constraint
     WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text <> 'alembic_version'
    UNION ALL
    SELECT 'index', tablename, indexname, indexdef, null, null, null, null
      FROM pg_indexes
     WHERE schemaname = 'public' AND tablename <> 'alembic_version'
"""


@pytest.fixture
async def engine(empty_database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(empty_database_url, poolclass=NullPool)
    yield engine
    await engine.dispose()


async def schema(engine: AsyncEngine) -> set[tuple[object, ...]]:
    async with engine.connect() as connection:
        return {tuple(row) for row in await connection.execute(text(SCHEMA))}


async def downgrade(engine: AsyncEngine) -> None:
    def run(connection: Connection) -> None:
        config = configuration()
        config.attributes["connection"] = connection
        command.downgrade(config, "base")

    async with engine.begin() as connection:
        await connection.run_sync(run)


async def test_migrating_from_empty_gives_the_models_to_the_last_constraint_and_index(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.run_sync(Base.metadata.create_all)
    from_models = await schema(engine)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.drop_all)
    assert await schema(engine) == set()
    await upgrade(engine.url)
    assert await schema(engine) == from_models


async def test_alembic_finds_nothing_left_to_migrate(engine: AsyncEngine) -> None:
    await upgrade(engine.url)

    def differences(connection: Connection) -> object:
        options = {"compare_type": True, "compare_server_default": True}
        return compare_metadata(MigrationContext.configure(connection, opts=options), Base.metadata)

    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_down_to_nothing_and_up_again_is_the_same(engine: AsyncEngine) -> None:
    await upgrade(engine.url)
    before = await schema(engine)
    await downgrade(engine)
    assert await schema(engine) == set()
    await upgrade(engine.url)
    assert await schema(engine) == before


async def test_several_processes_may_migrate_at_once(engine: AsyncEngine) -> None:
    await asyncio.gather(*(upgrade(engine.url) for _ in range(4)))
    async with engine.connect() as connection:
        assert await connection.scalar(text("SELECT count(*) FROM alembic_version")) == 1
    assert await schema(engine)


async def test_an_index_that_a_kill_left_half_built_is_built_anew(engine: AsyncEngine) -> None:
    await upgrade(engine.url)
    invalid = "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ix_photos_large'::regclass"
    async with engine.begin() as connection:
        await connection.execute(text(invalid))
        await connection.execute(text("DROP INDEX ix_photos_without_large"))
    await upgrade(engine.url)
    async with engine.connect() as connection:
        built = await connection.execute(
            text("SELECT indexrelid::regclass::text, indisvalid FROM pg_index WHERE indrelid = 'photos'::regclass")
        )
        assert {name for name, is_valid in built if is_valid} >= {"ix_photos_large", "ix_photos_without_large"}


async def test_while_an_index_is_built_photos_are_read_and_written(engine: AsyncEngine) -> None:
    await upgrade(engine.url)
    async with engine.begin() as connection:
        await connection.execute(text("DROP INDEX ix_photos_large"))
    begun = text("SELECT EXISTS (SELECT FROM pg_class WHERE relname = 'ix_photos_large')")
    async with engine.connect() as reading:
        await reading.execute(text("SELECT pg_current_xact_id(), count(*) FROM photos"))  # an index waits for it
        building = asyncio.create_task(upgrade(engine.url))
        async with asyncio.timeout(20), engine.connect() as connection:
            while not await connection.scalar(begun):
                await asyncio.sleep(0.02)
        async with asyncio.timeout(20), engine.begin() as connection:
            await connection.execute(text("UPDATE photos SET rating = 1"))
            assert await connection.scalar(text("SELECT count(*) FROM photos")) == 0
        assert not building.done()
        await reading.rollback()
    await building


async def test_a_migration_that_fails_leaves_the_database_as_it_was(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE queue_items (stranger int)"))
    before = await schema(engine)
    with pytest.raises(Exception, match="already exists"):
        await upgrade(engine.url)
    assert await schema(engine) == before


async def test_the_database_of_a_newer_darkroom_is_refused(engine: AsyncEngine) -> None:
    await upgrade(engine.url)
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = 'f00d'"))
    with pytest.raises(StartupError, match="newer Darkroom"):
        await upgrade(engine.url)
