"""The database goes away for a moment: all work under way goes on by itself once it is back (events are hints, pure
correlation, sighted is not made, gallery reading)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.fakes import batches
from tests.fakes.correlation_harness import CorrelationHarness


@asynccontextmanager
async def away(harness: CorrelationHarness, server: AsyncEngine, task: str) -> AsyncIterator[None]:
    """Closes all connections and lets nobody in; ends when the task has failed over it."""
    name = harness.database.url.database
    before = harness.restarts(task)
    async with server.connect() as admin:
        await admin.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false"))
        await admin.execute(text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"))
        try:
            yield

            async def failed() -> bool:
                return harness.restarts(task) > before

            await harness.until(failed)
        finally:
            await admin.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true"))


async def test_an_image_sighted_meanwhile_is_recorded(harness: CorrelationHarness, server: AsyncEngine) -> None:
    async with away(harness, server, "sightings"):
        await harness.enqueue_foreign(batches.blank())
    await harness.until_photos(1)


async def test_an_item_of_ours_that_ran_meanwhile_is_followed_to_its_end(
    harness: CorrelationHarness, server: AsyncEngine
) -> None:
    step, batch_id = await harness.step((1,))
    async with away(harness, server, "consumer"):
        await harness.post(batches.blank(), step, batch_id)
    await harness.until_step(step, "completed")
    await harness.until_photos(1)


async def test_a_reading_asked_for_meanwhile_is_made(harness: CorrelationHarness, server: AsyncEngine) -> None:
    harness.invokeai.drop_events()
    step, ids = await harness.enqueue_own(batches.blank())
    await harness.invokeai.until_ended(*ids)
    async with away(harness, server, "item readings"):
        harness.registry.request_reading(harness.backend_id)
    await harness.until_step(step, "completed")


async def test_a_gallery_reading_asked_for_meanwhile_is_made(harness: CorrelationHarness, server: AsyncEngine) -> None:
    harness.invokeai.add_canvas_save()
    async with away(harness, server, "gallery readings"):
        harness.registry.request_gallery_reading(harness.backend_id)
    await harness.until_photos(1)


async def test_a_state_that_changed_meanwhile_is_noted(harness: CorrelationHarness, server: AsyncEngine) -> None:
    async def noted() -> bool:
        return bool(await harness.fetch("SELECT FROM backends WHERE last_seen_at IS NOT NULL"))

    await harness.until(noted)
    async with harness.database.connection() as connection:
        await connection.execute("UPDATE backends SET last_seen_at = NULL")
    async with away(harness, server, "counts"):
        harness.connection.look()
    await harness.until(noted)


async def test_all_of_it_at_once_loses_nothing(harness: CorrelationHarness, server: AsyncEngine) -> None:
    step, batch_id = await harness.step((1, 2, 3))
    async with away(harness, server, "consumer"):
        await harness.post(batches.several_images(2), step, batch_id, runs=3)
        await harness.enqueue_foreign(batches.blank(), runs=2)
        await harness.invokeai.until(lambda: len(harness.invokeai.images.select(is_intermediate=False)) >= 4)
    await harness.until_step(step, "completed")
    await harness.until_photos(8)
