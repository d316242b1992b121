"""When a server may be let go (rule 10)."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from service.backends.all_home import AllHome
from tests.fakes import answers, batches
from tests.fakes.correlated import Correlated


@pytest.fixture
def all_home(house: Correlated) -> AllHome:
    return AllHome(house.registry)


async def bring_home(house: Correlated) -> None:
    async with house.database.connection() as connection:
        await connection.execute(
            "UPDATE photos SET retrieval_status = 'completed', file_size = 9, sha256 = 'ab',"
            " next_retrieval_attempt = NULL"
        )


async def until_read(house: Correlated, since: datetime) -> None:
    """Both kinds of reading have come to an end that began after that."""
    readings = house.connection.reconciler, house.connection.gallery

    async def both() -> bool:
        return all(reading.read_from is not None and reading.read_from >= since for reading in readings)

    await house.until(both)


async def is_seen_empty_and_read(house: Correlated, all_home: AllHome) -> None:
    since = datetime.now(UTC)
    assert not await all_home.of(house.backend_id), "nothing was read since then"
    await until_read(house, since)


async def test_it_is_once_everything_was_read_after_its_queue_was_seen_empty(
    house: Correlated, all_home: AllHome
) -> None:
    await is_seen_empty_and_read(house, all_home)
    assert await all_home.of(house.backend_id)


async def test_what_came_and_went_unheard_is_read_for(house: Correlated, all_home: AllHome) -> None:
    house.invokeai.on("/ws/", answers.status(503), times=None)
    await house.invokeai.disconnect_sockets()
    await house.until(lambda: has_no_events(house))
    await is_seen_empty_and_read(house, all_home)
    assert await all_home.of(house.backend_id), "REST tells all there is to know"
    [item_id] = await house.theirs(batches.blank())
    await house.invokeai.until_ended(item_id)
    await is_seen_empty_and_read(house, all_home)
    assert not await all_home.of(house.backend_id), "found by the reading alone, and not home yet"


async def test_what_is_read_before_it_was_away_says_nothing(house: Correlated, all_home: AllHome) -> None:
    await is_seen_empty_and_read(house, all_home)
    await house.invokeai.refuse()
    await house.until(lambda: is_not_connected(house))
    gate = asyncio.Event()
    house.invokeai.on("/images/$", answers.after(gate), times=None)
    await house.invokeai.accept()
    await house.until_connected()
    since = datetime.now(UTC)
    assert not await all_home.of(house.backend_id)
    gate.set()
    await until_read(house, since)
    assert await all_home.of(house.backend_id)


async def test_a_gallery_reading_under_way_may_find_something(house: Correlated, all_home: AllHome) -> None:
    gate = asyncio.Event()
    house.invokeai.drop_events()
    house.invokeai.on("/images/$", answers.after(gate), times=None)
    [item_id] = await house.theirs(batches.blank())
    await house.invokeai.until_ended(item_id)
    since = datetime.now(UTC)
    assert not await all_home.of(house.backend_id)

    async def queue_read() -> bool:
        read_from = house.connection.reconciler.read_from
        return read_from is not None and read_from >= since

    await house.until(queue_read)
    assert not await all_home.of(house.backend_id)
    gate.set()
    await until_read(house, since)
    assert not await all_home.of(house.backend_id), "it waits to be fetched"
    await bring_home(house)
    assert await all_home.of(house.backend_id)


async def test_a_queue_that_holds_something_will_make_something(house: Correlated, all_home: AllHome) -> None:
    await is_seen_empty_and_read(house, all_home)
    house.invokeai.drop_events()
    hold = house.invokeai.hold("img")
    [item_id] = await house.theirs(batches.blank())
    await hold.reached()
    assert not await all_home.of(house.backend_id)
    hold.release()
    await house.invokeai.until_ended(item_id)
    await is_seen_empty_and_read(house, all_home)
    await bring_home(house)
    assert await all_home.of(house.backend_id)


async def test_what_came_and_went_between_two_questions_is_read_for(house: Correlated, all_home: AllHome) -> None:
    await is_seen_empty_and_read(house, all_home)
    house.invokeai.drop_events("invocation_complete")
    [item_id] = await house.theirs(batches.blank())
    await house.invokeai.until_ended(item_id)
    await house.until(lambda: is_idle(house))
    await is_seen_empty_and_read(house, all_home)
    assert not await all_home.of(house.backend_id), "found by the reading alone, and not home yet"


async def test_work_that_is_still_expected_is_not_home(house: Correlated, all_home: AllHome) -> None:
    await is_seen_empty_and_read(house, all_home)
    await house.step(state="prepared", enqueued=0)
    assert not await all_home.of(house.backend_id)


async def test_a_queue_that_cannot_be_seen_may_hold_anything(house: Correlated, all_home: AllHome) -> None:
    await is_seen_empty_and_read(house, all_home)
    house.invokeai.on("/status$", answers.status(500), times=None)
    assert not await all_home.of(house.backend_id)


async def is_not_connected(house: Correlated) -> bool:
    return house.connection.state != "connected"


async def has_no_events(house: Correlated) -> bool:
    return any(trouble.code == "no_events" for trouble in house.connection.troubles.present)


async def is_idle(house: Correlated) -> bool:
    return house.connection.tracking.foreign_live == 0 and house.connection.last_event_at is not None
