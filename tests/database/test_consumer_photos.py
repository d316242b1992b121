"""The consumer, where photos are here already: an item that learns its session adopts them (sighted is not made)."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from service.database.engine import Database
from service.retrieval import queue as retrieval_queue
from service.steps import queue_items as items
from tests.fakes.consumer_harness import AT, ConsumerHarness, consumer_harness
from tests.fakes.rows import add_alternative, add_photo


@pytest.fixture
async def harness(database: Database) -> ConsumerHarness:
    return await consumer_harness(database)


async def test_an_item_that_learns_its_session_adopts_photos_already_here(harness: ConsumerHarness) -> None:
    async with harness.database.connection() as connection:
        photo = await add_photo(connection, invoke_session_id="session-7", backend_id=harness.backend_id)
    await harness.read(7, status="in_progress", seed=42)
    async with harness.database.connection() as connection:
        alternative = await connection.fetchrow("SELECT * FROM step_alternatives")
        source = await connection.fetchval("SELECT source FROM photos WHERE id = $1", photo)
    assert alternative is not None
    assert (alternative["step_id"], alternative["photo_id"], source) == (harness.step_id, photo, "generated")


async def test_an_image_that_claims_to_be_of_a_step_with_an_enormous_seed_stops_nothing(
    harness: ConsumerHarness,
) -> None:
    async with harness.database.connection() as connection:
        photo = await add_photo(connection, backend_id=harness.backend_id, seed=10**19)
        await add_alternative(connection, harness.step_id, photo)
    await harness.status("in_progress", 1)
    assert (await harness.step())["status"] == "processing"


async def test_learning_an_items_session_and_a_reconnect_do_not_deadlock(harness: ConsumerHarness) -> None:
    """Photos are recorded newest first, and locked in the order of their ids."""
    later = datetime.now(UTC) + timedelta(hours=1)
    waiting = {"home": False, "backend_id": harness.backend_id, "next_retrieval_attempt": later}
    photos = []
    async with harness.database.connection() as connection:
        for age, session in ((0, "session-7"), (1, None), (2, "session-7")):
            made = datetime.now(UTC) - timedelta(seconds=age)
            photos.append(await add_photo(connection, created_at=made, invoke_session_id=session, **waiting))

    async def make_due() -> None:
        async with harness.database.connection() as connection:
            await retrieval_queue.make_due(connection, harness.backend_id)

    async with harness.database.transaction() as worker:
        await worker.execute("SELECT FROM photos WHERE id = $1 FOR UPDATE", photos[1])
        reconnecting = asyncio.create_task(make_due())
        await harness.until_waiting_for_a_lock()
        learning = asyncio.create_task(harness.status("in_progress", 1))
        await harness.until_waiting_for_a_lock(2)
    async with asyncio.timeout(10):
        await asyncio.gather(reconnecting, learning)


async def test_an_adopted_photo_is_told_of_again(harness: ConsumerHarness) -> None:
    told: list[Any] = []
    harness.bus.changed.listen(lambda change, ids: told.extend(ids if change == "photo.updated" else ()))
    async with harness.database.connection() as connection:
        photo = await add_photo(connection, invoke_session_id="session-7", backend_id=harness.backend_id)
    await harness.status("in_progress", 1)
    assert told == [photo]


async def test_a_tombstone_is_not_adopted(harness: ConsumerHarness) -> None:
    async with harness.database.connection() as connection:
        await add_photo(
            connection, invoke_session_id="session-7", backend_id=harness.backend_id, deleted_at=AT, purged_at=AT
        )
        await harness.status("in_progress", 1)
        assert await connection.fetchval("SELECT count(*) FROM step_alternatives") == 0


async def test_a_session_is_not_learned_while_an_image_is_being_recorded(harness: ConsumerHarness) -> None:
    """Else neither would find the other (sighted is not made)."""
    async with harness.database.transaction() as recording:
        await recording.execute(items.RECORDING)
        learning = asyncio.create_task(harness.status("in_progress", 1))
        await harness.until_waiting_for_a_lock()
        photo = await add_photo(recording, invoke_session_id="session-7", backend_id=harness.backend_id)
    await learning
    async with harness.database.connection() as connection:
        assert await connection.fetchval("SELECT photo_id FROM step_alternatives") == photo
