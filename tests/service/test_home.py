"""A server is said to be home only when nothing can have been made there that was not looked for (ledger and home)."""

from __future__ import annotations

import asyncio

import pytest

from service.backends import final_reading
from service.bus.live_state import BackendLedger
from tests.fakes import answers, batches
from tests.fakes.correlation_harness import CorrelationHarness


@pytest.fixture(autouse=True)
def looks_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(final_reading, "TICK", 0.02)
    monkeypatch.setattr(final_reading, "QUIET", 0.1)
    monkeypatch.setattr(final_reading, "FIRST_WAIT", 0.5)


async def ledger_of(harness: CorrelationHarness) -> BackendLedger:
    return (await harness.registry.ledger()).backends[str(harness.backend_id)]


async def is_home(harness: CorrelationHarness) -> bool:
    return (await ledger_of(harness)).home


async def until_home(harness: CorrelationHarness) -> None:
    await harness.until(lambda: is_home(harness))


async def until_read(harness: CorrelationHarness) -> None:
    """Everything was read after the last sign of work."""

    async def read() -> bool:
        looked = harness.connection.read_state
        readings = looked.queue_read_from, looked.gallery_read_from
        return all(began is not None and began > looked.worked_at for began in readings)

    await harness.until(read)


async def bring_home(harness: CorrelationHarness) -> None:
    async with harness.database.connection() as connection:
        await connection.execute(
            "UPDATE photos SET retrieval_status = 'completed', file_size = 9, sha256 = 'ab',"
            " next_retrieval_attempt = NULL"
        )


async def is_not_connected(harness: CorrelationHarness) -> bool:
    return harness.connection.state != "connected"


async def test_a_server_that_made_nothing_is_home_once_it_was_read(harness: CorrelationHarness) -> None:
    await until_home(harness)
    assert (await harness.registry.ledger()).total.home


async def test_work_that_ended_is_home_by_itself_once_all_of_it_is_here_and_was_read(
    harness: CorrelationHarness,
) -> None:
    await until_home(harness)
    step, _ = await harness.enqueue_own(batches.blank())
    assert not await is_home(harness)
    await harness.until_step(step, "completed")
    await harness.until_photos(1)
    await until_read(harness)
    assert not await is_home(harness), "it waits to be fetched"
    await bring_home(harness)
    await until_home(harness)


async def test_what_ended_without_an_event_is_found_before_home_is_said(harness: CorrelationHarness) -> None:
    await until_home(harness)
    harness.invokeai.drop_events()
    [item_id] = await harness.enqueue_foreign(batches.blank())
    await harness.invokeai.until_ended(item_id)
    gate = asyncio.Event()
    harness.invokeai.on("/images/$", answers.after(gate), times=None)
    harness.registry.request_reading(harness.backend_id)
    await harness.until(lambda: not_home(harness))
    gate.set()
    await harness.until_photos(1)
    assert not await is_home(harness)
    await bring_home(harness)
    await until_home(harness)


async def not_home(harness: CorrelationHarness) -> bool:
    return not await is_home(harness)


async def test_an_event_takes_it_back_until_everything_was_read_again(harness: CorrelationHarness) -> None:
    await until_home(harness)
    gate = asyncio.Event()
    harness.invokeai.on("/images/$", answers.after(gate), times=None)
    [item_id] = await harness.enqueue_foreign(batches.failing())
    await harness.invokeai.until_ended(item_id)
    await harness.until(lambda: not_home(harness))
    gate.set()
    await until_home(harness)


async def test_a_load_of_a_model_is_no_work(harness: CorrelationHarness) -> None:
    await until_home(harness)
    before = harness.connection.read_state.worked_at
    await harness.invokeai.emit("model_load_started", {"queue_id": "default", "config": {}})
    await harness.invokeai.emit("model_install_complete", {"id": 1, "key": "x", "source": {}})
    await harness.until(lambda: heard(harness))
    assert harness.connection.read_state.worked_at == before
    assert await is_home(harness)


async def heard(harness: CorrelationHarness) -> bool:
    return harness.connection.subscription.last_event_at is not None


async def test_a_gallery_that_cannot_be_read_is_not_home(harness: CorrelationHarness) -> None:
    await until_home(harness)
    harness.invokeai.on("/images/", answers.status(500), times=None)
    [item_id] = await harness.enqueue_foreign(batches.failing())
    await harness.invokeai.until_ended(item_id)

    async def queue_was_read() -> bool:
        looked = harness.connection.read_state
        return looked.queue_read_from is not None and looked.queue_read_from > looked.worked_at

    await harness.until(queue_was_read)
    assert not await is_home(harness)


async def test_one_whose_own_images_alone_are_taken_needs_no_gallery(harness: CorrelationHarness) -> None:
    await harness.patch(mirror="own")
    harness.invokeai.on("/images/", answers.status(500), times=None)
    [item_id] = await harness.enqueue_foreign(batches.failing())
    await harness.invokeai.until_ended(item_id)
    await until_home(harness)


async def test_one_that_cannot_be_asked_may_have_made_something(harness: CorrelationHarness) -> None:
    await until_home(harness)
    await harness.invokeai.refuse()
    await harness.until(lambda: is_not_connected(harness))
    assert not await is_home(harness)
    gate = asyncio.Event()
    harness.invokeai.on("/images/$", answers.after(gate), times=None)
    await harness.invokeai.accept()
    await harness.until_connected()
    assert not await is_home(harness), "what was read before it was away says nothing"
    gate.set()
    await until_home(harness)


async def test_work_that_is_still_to_be_sent_is_not_home(harness: CorrelationHarness) -> None:
    await until_home(harness)
    await harness.step(state="prepared", enqueued=0)
    assert not await is_home(harness)


async def test_one_that_is_begun_anew_is_not_home_until_it_was_read(harness: CorrelationHarness) -> None:
    await until_home(harness)
    gate = asyncio.Event()
    harness.invokeai.on("/images/$", answers.after(gate), times=None)
    await harness.registry.reload(anew=[harness.backend_id])
    assert not await is_home(harness)
    gate.set()
    await until_home(harness)


async def test_that_it_is_home_is_told(harness: CorrelationHarness) -> None:
    await until_home(harness)
    told = asyncio.Event()
    harness.bus.ledger_changed.listen(told.set)
    await harness.invokeai.drop_sockets()
    async with asyncio.timeout(10):
        await told.wait()
        await until_home(harness)
