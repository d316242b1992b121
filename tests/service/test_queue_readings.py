"""Readings of the queue (events are hints, derived step status): what they find, what they must not conclude, and when
they come."""

from __future__ import annotations

import asyncio

import pytest

from service.correlation import exchange, queue_reader
from service.correlation.exchange import Entry
from service.errors import InvokeError
from service.steps import item_state as correlate
from service.steps.item_state import Reading
from tests.fakes import answers, batches
from tests.fakes.correlation_harness import CorrelationHarness
from tests.fakes.rows import add_item


def shown(harness: CorrelationHarness) -> list[tuple[int, str]]:
    return [(item.item_id, item.status) for item in harness.registry.live_items()]


async def until_shown(harness: CorrelationHarness, *items: tuple[int, str]) -> None:
    async def met() -> bool:
        return shown(harness) == list(items)

    await harness.until(met)


async def pause(harness: CorrelationHarness) -> None:
    await harness.connection.client._call("PUT", "/api/v1/queue/default/processor/pause", dict)


async def clear(harness: CorrelationHarness) -> None:
    await harness.connection.client._call("PUT", "/api/v1/queue/default/clear", dict)


async def test_what_others_enqueue_is_shown_and_counted_while_it_waits(
    harness: CorrelationHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "SOON", 0.1)
    await pause(harness)
    for _ in range(3):
        await harness.enqueue_foreign(batches.blank())
    await until_shown(harness, (1, "pending"), (2, "pending"), (3, "pending"))
    await harness.until(lambda: is_counted(harness, 3))


async def is_counted(harness: CorrelationHarness, pending: int) -> bool:
    return harness.connection.queue.pending == pending


async def test_other_peoples_pending_items_leave_with_a_cleared_queue(harness: CorrelationHarness) -> None:
    await pause(harness)
    await harness.enqueue_foreign(batches.blank(), runs=2)
    harness.registry.request_reading(harness.backend_id)
    await until_shown(harness, (1, "pending"), (2, "pending"))
    await clear(harness)
    await until_shown(harness)


async def test_other_peoples_items_that_ended_unheard_leave_as_what_they_came_to(harness: CorrelationHarness) -> None:
    hold = harness.invokeai.hold("img")
    [item_id] = await harness.enqueue_foreign(batches.blank())
    await hold.reached()
    await until_shown(harness, (item_id, "in_progress"))
    harness.invokeai.drop_events()
    hold.release()
    await harness.invokeai.until_ended(item_id)
    await harness.connection.queue_reader.read_everything()
    assert shown(harness) == []
    tracked = harness.connection.tracking.get(harness.invokeai.queue.items[item_id].batch_id, item_id)
    assert tracked is not None
    assert tracked.known.status == "completed"


async def test_what_is_shown_of_others_stays_however_much_is_queued_behind_it(
    harness: CorrelationHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_reader, "RECENT", 2)
    hold = harness.invokeai.hold("img")
    await harness.enqueue_foreign(batches.blank(), runs=5)
    await hold.reached()
    await until_shown(harness, (1, "in_progress"))
    await harness.connection.queue_reader.read_everything()
    assert shown(harness) == [(1, "in_progress"), (4, "pending"), (5, "pending")]
    hold.release()


async def test_an_item_the_queue_still_lists_is_not_absent_though_it_cannot_be_read(
    harness: CorrelationHarness,
) -> None:
    """Bulk reads leave out what they fail to read, not only what is gone (FACTS §7, poison)."""
    hold = harness.invokeai.hold("img")
    step, [item_id] = await harness.enqueue_own(batches.blank())
    await hold.reached()
    await until_shown(harness, (item_id, "in_progress"))
    harness.invokeai.on("/items_by_ids$", answers.body(b"[]"), times=None)
    await harness.connection.queue_reader.read_everything()
    [row] = await harness.fetch("SELECT absent_since FROM queue_items WHERE step_id = $1", step)
    assert row["absent_since"] is None
    hold.release()


async def test_a_reading_that_fails_half_way_proves_no_absence(harness: CorrelationHarness) -> None:
    step, batch_id = await harness.step((1,))
    async with harness.database.connection() as connection:
        await add_item(connection, batch_id, step, 77, ordinal=0)
    before = harness.connection.queue_reader.read_from
    harness.invokeai.on("/item_ids$", answers.status(500), times=None)
    with pytest.raises(InvokeError):
        await harness.connection.queue_reader.read_everything()
    [row] = await harness.fetch("SELECT absent_since FROM queue_items WHERE step_id = $1", step)
    assert row["absent_since"] is None
    assert harness.connection.queue_reader.read_from == before


async def test_an_id_that_a_new_database_gave_away_again_is_found_for_its_new_batch(
    harness: CorrelationHarness,
) -> None:
    """An unsettled item of ours with the same id must not hide it."""
    old_step, old_batch = await harness.step((1,))
    async with harness.database.connection() as connection:
        await add_item(connection, old_batch, old_step, 1, ordinal=0)
    harness.invokeai.drop_events()
    new_step, ids = await harness.enqueue_own(batches.blank())
    assert ids == [1]
    await harness.invokeai.until_ended(1)
    harness.registry.request_reading(harness.backend_id)
    await harness.until_step(new_step, "completed")

    async def missed() -> bool:
        [row] = await harness.fetch("SELECT status, absent_since FROM queue_items WHERE batch_id = $1", old_batch)
        return row["status"] == "pending" and row["absent_since"] is not None

    await harness.until(missed)


async def test_a_batch_cleared_before_anything_of_it_was_read_does_not_stay_processing(
    harness: CorrelationHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(correlate, "ABSENCE", 0.2)
    monkeypatch.setattr(queue_reader, "ABSENCE", -0.7)
    step, batch_id = await harness.step((1, 2))
    async with harness.database.connection() as connection:
        for item_id in (101, 102):  # as the answer of the POST named them
            await add_item(connection, batch_id, step, item_id, ordinal=item_id - 101)
    harness.registry.request_reading(harness.backend_id, [101, 102])
    harness.registry.request_reading(harness.backend_id)
    await harness.until_step(step, "failed")


async def test_a_reading_waits_for_nothing_once_the_server_is_back(
    harness: CorrelationHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_reader, "FIRST_WAIT", 3600)
    await harness.invokeai.refuse()
    failed = asyncio.Event()
    wait_for_event, back = queue_reader.wait_for_event, harness.connection.requests.back

    async def waiting(event: asyncio.Event, within: float | None) -> bool:
        if event is back:
            failed.set()
        return await wait_for_event(event, within)

    monkeypatch.setattr(queue_reader, "wait_for_event", waiting)
    before = harness.connection.queue_reader.read_from
    harness.registry.request_reading(harness.backend_id)
    async with asyncio.timeout(15):
        await failed.wait()
    await harness.invokeai.accept()

    async def read_again() -> bool:
        return harness.connection.queue_reader.read_from != before

    await harness.until(read_again)


async def test_what_is_asked_for_while_a_reading_runs_is_read_by_the_next(harness: CorrelationHarness) -> None:
    gate = asyncio.Event()
    rule = harness.invokeai.on("/item_ids$", answers.after(gate))
    harness.registry.request_reading(harness.backend_id)
    await rule.wait()
    before = harness.connection.queue_reader.read_from
    step, ids = await harness.enqueue_own(batches.blank())
    harness.invokeai.drop_events()
    await harness.invokeai.until_ended(*ids)
    harness.registry.request_reading(harness.backend_id, ids)
    gate.set()
    await harness.until_step(step, "completed")
    assert harness.connection.queue_reader.read_from != before


async def test_work_that_was_quiet_too_long_is_read_though_nobody_asked(
    harness: CorrelationHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_reader, "QUIET", 0.3)
    harness.registry.request_reading(harness.backend_id)
    harness.invokeai.drop_events()
    step, _ = await harness.enqueue_own(batches.blank(), items=2)
    await harness.until_step(step, "completed")
    await harness.until_photos(2)


async def test_asking_for_single_items_does_not_put_off_the_reading_of_everything(
    harness: CorrelationHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_reader, "QUIET", 0.3)
    harness.registry.request_reading(harness.backend_id)
    harness.invokeai.drop_events()
    step, _ = await harness.enqueue_own(batches.blank())

    async def completed() -> bool:
        harness.registry.request_reading(harness.backend_id, [4711])
        [row] = await harness.fetch("SELECT status FROM generation_steps WHERE id = $1", step)
        return bool(row["status"] == "completed")

    await harness.until(completed)


async def test_an_item_that_waits_for_a_workflow_it_called_is_live_until_its_end(harness: CorrelationHarness) -> None:
    """in_progress → waiting → pending → in_progress (FACTS §10)."""
    hold = harness.invokeai.hold("img")
    step, [item_id] = await harness.enqueue_own(batches.blank())
    item = await hold.reached()
    for status in ("waiting", "pending", "in_progress"):
        await harness.invokeai.change_status(item, status)
        await until_shown(harness, (item_id, status))
        await harness.until_step(step, "processing")
    hold.release()
    await harness.until_step(step, "completed")


async def test_a_reading_of_which_something_could_not_be_kept_is_no_complete_one(
    harness: CorrelationHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold = harness.invokeai.hold("img")
    _, [item_id] = await harness.enqueue_own(batches.blank())
    await hold.reached()
    await until_shown(harness, (item_id, "in_progress"))
    consumer, before = harness.connection.consumer, harness.connection.queue_reader.read_from
    apply = consumer.apply

    async def fail_once(entry: Entry) -> None:
        if isinstance(entry, Reading):
            monkeypatch.setattr(consumer, "apply", apply)
            raise ConnectionError("the database is away")
        await apply(entry)

    monkeypatch.setattr(consumer, "apply", fail_once)
    assert not await harness.connection.queue_reader.read_everything()

    async def read_again() -> bool:
        return harness.connection.queue_reader.read_from != before

    await harness.until(read_again)
    hold.release()
