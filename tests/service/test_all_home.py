"""When a server may be let go (rule 10)."""

from __future__ import annotations

import asyncio
import time

import pytest

from service.backends.all_home import AllHome
from tests.fakes import answers, batches
from tests.fakes.correlation_harness import CorrelationHarness


@pytest.fixture
def all_home(harness: CorrelationHarness) -> AllHome:
    return AllHome(harness.registry)


async def bring_home(harness: CorrelationHarness) -> None:
    async with harness.database.connection() as connection:
        await connection.execute(
            "UPDATE photos SET retrieval_status = 'completed', file_size = 9, sha256 = 'ab',"
            " next_retrieval_attempt = NULL"
        )


async def until_read(harness: CorrelationHarness, since: float) -> None:
    """Both kinds of reading have come to an end that began after that."""
    readings = harness.connection.reconciler, harness.connection.gallery

    async def both() -> bool:
        return all(reading.read_from is not None and reading.read_from >= since for reading in readings)

    await harness.until(both)


async def is_seen_empty_and_read(harness: CorrelationHarness, all_home: AllHome) -> None:
    since = time.monotonic()
    assert not await all_home.of(harness.backend_id), "nothing was read since then"
    await until_read(harness, since)


async def test_it_is_once_everything_was_read_after_its_queue_was_seen_empty(
    harness: CorrelationHarness, all_home: AllHome
) -> None:
    await is_seen_empty_and_read(harness, all_home)
    assert await all_home.of(harness.backend_id)


async def test_a_server_whose_events_are_not_heard_may_have_made_something(
    harness: CorrelationHarness, all_home: AllHome
) -> None:
    await is_seen_empty_and_read(harness, all_home)
    harness.invokeai.on("/ws/", answers.status(503), times=None)
    await harness.invokeai.disconnect_sockets()
    await harness.until(lambda: is_not_connected(harness))
    assert not await all_home.of(harness.backend_id)
    assert harness.registry.reachable() == [], "nothing of it is claimed (rule 9)"


async def test_what_is_read_before_it_was_away_says_nothing(harness: CorrelationHarness, all_home: AllHome) -> None:
    await is_seen_empty_and_read(harness, all_home)
    await harness.invokeai.refuse()
    await harness.until(lambda: is_not_connected(harness))
    gate = asyncio.Event()
    harness.invokeai.on("/images/$", answers.after(gate), times=None)
    await harness.invokeai.accept()
    await harness.until_connected()
    since = time.monotonic()
    assert not await all_home.of(harness.backend_id)
    gate.set()
    await until_read(harness, since)
    assert await all_home.of(harness.backend_id)


async def test_a_gallery_reading_under_way_may_find_something(harness: CorrelationHarness, all_home: AllHome) -> None:
    gate = asyncio.Event()
    harness.invokeai.drop_events()
    harness.invokeai.on("/images/$", answers.after(gate), times=None)
    [item_id] = await harness.enqueue_foreign(batches.blank())
    await harness.invokeai.until_ended(item_id)
    since = time.monotonic()
    assert not await all_home.of(harness.backend_id)

    async def queue_read() -> bool:
        read_from = harness.connection.reconciler.read_from
        return read_from is not None and read_from >= since

    await harness.until(queue_read)
    assert not await all_home.of(harness.backend_id)
    gate.set()
    await until_read(harness, since)
    assert not await all_home.of(harness.backend_id), "it waits to be fetched"
    await bring_home(harness)
    assert await all_home.of(harness.backend_id)


async def test_a_queue_that_holds_something_will_make_something(harness: CorrelationHarness, all_home: AllHome) -> None:
    await is_seen_empty_and_read(harness, all_home)
    harness.invokeai.drop_events()
    hold = harness.invokeai.hold("img")
    [item_id] = await harness.enqueue_foreign(batches.blank())
    await hold.reached()
    assert not await all_home.of(harness.backend_id)
    hold.release()
    await harness.invokeai.until_ended(item_id)
    await is_seen_empty_and_read(harness, all_home)
    await bring_home(harness)
    assert await all_home.of(harness.backend_id)


async def test_what_came_and_went_between_two_questions_is_read_for(
    harness: CorrelationHarness, all_home: AllHome
) -> None:
    await is_seen_empty_and_read(harness, all_home)
    harness.invokeai.drop_events("invocation_complete")
    [item_id] = await harness.enqueue_foreign(batches.blank())
    await harness.invokeai.until_ended(item_id)
    await harness.until(lambda: is_idle(harness))
    await is_seen_empty_and_read(harness, all_home)
    assert not await all_home.of(harness.backend_id), "found by the reading alone, and not home yet"


async def test_work_that_is_still_expected_is_not_home(harness: CorrelationHarness, all_home: AllHome) -> None:
    await is_seen_empty_and_read(harness, all_home)
    await harness.step(state="prepared", enqueued=0)
    assert not await all_home.of(harness.backend_id)


async def test_a_queue_that_cannot_be_seen_may_hold_anything(harness: CorrelationHarness, all_home: AllHome) -> None:
    await is_seen_empty_and_read(harness, all_home)
    harness.invokeai.on("/status$", answers.status(500), times=None)
    assert not await all_home.of(harness.backend_id)


async def is_not_connected(harness: CorrelationHarness) -> bool:
    return harness.connection.state != "connected"


async def is_idle(harness: CorrelationHarness) -> bool:
    return harness.connection.tracking.foreign_live == 0 and harness.connection.last_event_at is not None
