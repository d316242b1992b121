"""The consumer under nonsense and floods: what is dropped, what waits, what goes on (events are hints)."""

from __future__ import annotations

import asyncio

import pytest

from service.correlation import consumer as consumer_module
from service.correlation import tracking as tracking_module
from service.database.engine import Database
from tests.fakes.consumer_harness import ConsumerHarness, consumer_harness
from tests.fakes.hub_messages import next_message


@pytest.fixture
async def harness(database: Database) -> ConsumerHarness:
    return await consumer_harness(database)


async def test_a_malformed_event_is_reported_and_does_not_stop_the_next(harness: ConsumerHarness) -> None:
    task = asyncio.create_task(harness.consumer.run())
    harness.offer("queue_item_status_changed", {"queue_id": 3})
    harness.offer("queue_item_status_changed", harness.ids(status="in_progress", status_sequence=1))
    async with asyncio.timeout(30):
        await harness.consumer.settle_queue()
    assert harness.requests.read_all == 1
    assert await harness.row() is not None
    task.cancel()


async def test_when_full_progress_is_dropped_first_then_everything_is_to_be_read(
    harness: ConsumerHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer_module, "PROGRESS_LIMIT", 2)
    monkeypatch.setattr(consumer_module, "QUEUE_LIMIT", 3)
    for name in ("invocation_progress",) * 4 + ("queue_item_status_changed",) * 2:
        harness.offer(name, harness.ids(message="", status="in_progress"))
    assert (harness.consumer.dropped_progress, harness.consumer.dropped_events) == (2, 1)
    assert harness.requests.read_all == 1


async def test_a_browser_that_reads_at_once_misses_nothing_however_much_comes_at_once(harness: ConsumerHarness) -> None:
    heard: list[int] = []

    async def browse() -> None:
        while True:
            heard.append((await next_message(harness.feed))["seq"])

    browsing, running = asyncio.create_task(browse()), asyncio.create_task(harness.consumer.run())
    for item_id in range(100, 300):
        said = harness.ids(item_id, batch_id="theirs", origin="webui", destination="gallery")
        said |= {"status": "in_progress", "status_sequence": 1}
        harness.offer("queue_item_status_changed", said)
    await harness.consumer.settle_queue()
    await asyncio.sleep(0.05)
    for task in (browsing, running):
        task.cancel()
    await asyncio.gather(browsing, running, return_exceptions=True)
    assert heard == list(range(heard[0], heard[0] + 200))


async def test_progress_that_cannot_be_understood_has_nothing_read(harness: ConsumerHarness) -> None:
    running = asyncio.create_task(harness.consumer.run())
    harness.offer("invocation_progress", harness.ids(image={"width": 8, "height": 8, "dataURL": None}))
    await harness.consumer.settle_queue()
    assert harness.requests.read_all == 0
    harness.offer("queue_item_status_changed", harness.ids(status=3))
    await harness.consumer.settle_queue()
    assert harness.requests.read_all == 1
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_reading_waits_while_the_queue_is_full(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumer_module, "QUEUE_LIMIT", 1)
    harness = await consumer_harness(database)
    harness.offer("queue_item_status_changed", harness.ids(status="in_progress", status_sequence=1))
    waiting = asyncio.create_task(harness.consumer.settle_queue())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not waiting.done()
    running = asyncio.create_task(harness.consumer.run())
    await asyncio.wait_for(waiting, 5)
    running.cancel()
    await asyncio.wait({running})


async def test_only_so_many_ended_items_are_remembered(
    harness: ConsumerHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking_module, "ENDED_LIMIT", 2)
    for item_id in (1, 2, 3):
        await harness.status("completed", 2, item_id, batch_id="theirs", origin=None, destination=None)
    assert harness.tracking.get("theirs", 1) is None
    assert harness.tracking.get("theirs", 3) is not None


async def test_events_of_many_megabytes_wait_up_to_a_bound(harness: ConsumerHarness) -> None:
    for number in range(40):
        harness.offer("invocation_complete", harness.ids(number, result="x" * 2**20))
    assert harness.consumer.dropped_events == 40 - 31
    assert harness.requests.read_all == 9
    harness.offer("invocation_progress", harness.ids(message="x" * 2**20))
    assert harness.consumer.dropped_progress == 1
    running = asyncio.create_task(harness.consumer.run())
    await harness.consumer.settle_queue()
    harness.offer("invocation_complete", harness.ids(7, result="x" * 2**20))
    assert harness.consumer.dropped_events == 9, "there is room again"
    await harness.consumer.settle_queue()
    running.cancel()
    await asyncio.wait({running})


async def test_a_running_item_that_names_images_without_end_is_not_remembered_whole(
    harness: ConsumerHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking_module, "SIGHTED_LIMIT", 100)
    for number in range(50):
        result = [{"image_name": f"{number}-{k}.png"} for k in range(30)]
        await harness.receive("invocation_complete", result=result)
        tracked = harness.tracking.get(harness.batch_id, 7)
        assert tracked is not None
        assert len(tracked.known.sighted) <= 130
    assert len(harness.lookups.added) == 1500, "each is looked up all the same"


async def test_an_error_of_a_megabyte_is_stored_and_told_cut(harness: ConsumerHarness) -> None:
    await harness.status("failed", 2, error_type="E", error_message="x" * 2**20)
    row = await harness.row()
    assert row is not None
    assert 9000 < len(row["error"]) < 11_000
    assert len(str(await harness.published())) < 20_000
    assert len((await harness.step())["error_message"] or "") < 11_000
