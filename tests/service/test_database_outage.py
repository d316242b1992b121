"""The database goes away for a moment: whatever was under way goes on by itself once it is back (rules 1, 3, 4, 6)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from service.demo.images import Filter
from tests.fakes import batches
from tests.fakes.correlated import Correlated

pytestmark = pytest.mark.usefixtures("quick_logs")


@pytest.fixture(scope="module")
def quick_logs() -> Iterator[None]:
    """Every task fails, and its traceback is written: plainly, for rich ones take seconds each."""
    structlog.configure(processors=[structlog.processors.format_exc_info, structlog.processors.KeyValueRenderer()])
    yield
    structlog.reset_defaults()


@asynccontextmanager
async def away(house: Correlated, server: AsyncEngine, task: str) -> AsyncIterator[None]:
    """Nobody is let in, and whoever is in is put out; ends when the task has failed over it."""
    name = house.database.engine.url.database
    before = house.restarts(task)
    async with server.connect() as admin:
        await admin.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false"))
        await admin.execute(text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"))
        try:
            yield

            async def failed() -> bool:
                return house.restarts(task) > before

            await house.until(failed)
        finally:
            await admin.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true"))


async def test_an_image_sighted_meanwhile_is_recorded(house: Correlated, server: AsyncEngine) -> None:
    async with away(house, server, "sightings"):
        await house.theirs(batches.blank())
    await house.until_photos(1)


async def test_an_item_of_ours_that_ran_meanwhile_is_followed_to_its_end(
    house: Correlated, server: AsyncEngine
) -> None:
    step, batch_id = await house.step((1,))
    async with away(house, server, "consumer"):
        await house.post(batches.blank(), step, batch_id)
    await house.until_step(step, "completed")
    await house.until_photos(1)


async def test_a_reading_asked_for_meanwhile_is_made(house: Correlated, server: AsyncEngine) -> None:
    house.invokeai.drop_events()
    step, ids = await house.ours(batches.blank())
    await house.invokeai.until_ended(*ids)
    async with away(house, server, "item readings"):
        house.registry.request_reading(house.backend_id)
    await house.until_step(step, "completed")


async def test_a_gallery_reading_asked_for_meanwhile_is_made(house: Correlated, server: AsyncEngine) -> None:
    house.invokeai.add_canvas_save()
    async with away(house, server, "gallery readings"):
        house.registry.request_gallery_reading(house.backend_id)
    await house.until_photos(1)


async def test_a_state_that_changed_meanwhile_is_noted(house: Correlated, server: AsyncEngine) -> None:
    async def noted() -> bool:
        return bool(await house.fetch("SELECT FROM backends WHERE last_seen_at IS NOT NULL"))

    await house.until(noted)
    async with house.database.connection() as connection:
        await connection.execute("UPDATE backends SET last_seen_at = NULL")
    async with away(house, server, "states"):
        house.registry.status_changed(house.backend_id)
    await house.until(noted)


async def test_all_of_it_at_once_loses_nothing(house: Correlated, server: AsyncEngine) -> None:
    step, batch_id = await house.step((1, 2, 3))
    async with away(house, server, "consumer"):
        await house.post(batches.several_images(2), step, batch_id, runs=3)
        await house.theirs(batches.blank(), runs=2)
        await house.invokeai.until(lambda: len(house.invokeai.images.select(Filter(is_intermediate=False))) >= 4)
    await house.until_step(step, "completed")
    await house.until_photos(8)
