"""Readings of the queue (rules 1, 8): what they find, what they must not conclude, and when they come."""

from __future__ import annotations

import asyncio

import pytest

from service.correlation import correlate, queue_reading, reconcile
from service.correlation.entries import Entry, ItemReading
from service.errors import InvokeError
from tests.fakes import answers, batches
from tests.fakes.correlated import Correlated
from tests.fakes.rows import add_item


def shown(house: Correlated) -> list[tuple[int, str]]:
    return [(item.item_id, item.status) for item in house.registry.live_items()]


async def until_shown(house: Correlated, *items: tuple[int, str]) -> None:
    async def met() -> bool:
        return shown(house) == list(items)

    await house.until(met)


async def pause(house: Correlated) -> None:
    await house.connection.client._call("PUT", "/api/v1/queue/default/processor/pause", dict)


async def clear(house: Correlated) -> None:
    await house.connection.client._call("PUT", "/api/v1/queue/default/clear", dict)


async def test_what_others_enqueue_is_shown_and_counted_while_it_waits(
    house: Correlated, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile, "SOON", 0.1)
    await pause(house)
    for _ in range(3):
        await house.theirs(batches.blank())
    await until_shown(house, (1, "pending"), (2, "pending"), (3, "pending"))
    await house.until(lambda: is_counted(house, 3))


async def is_counted(house: Correlated, pending: int) -> bool:
    return house.connection.queue.pending == pending


async def test_other_peoples_pending_items_leave_with_a_cleared_queue(house: Correlated) -> None:
    await pause(house)
    await house.theirs(batches.blank(), runs=2)
    house.registry.request_reading(house.backend_id)
    await until_shown(house, (1, "pending"), (2, "pending"))
    await clear(house)
    await until_shown(house)


async def test_other_peoples_items_that_ended_unheard_leave_as_what_they_came_to(house: Correlated) -> None:
    hold = house.invokeai.hold("img")
    [item_id] = await house.theirs(batches.blank())
    await hold.reached()
    await until_shown(house, (item_id, "in_progress"))
    house.invokeai.drop_events()
    hold.release()
    await house.invokeai.until_ended(item_id)
    await house.connection.reconciler.read_everything()
    assert shown(house) == []
    tracked = house.connection.tracking.get(house.invokeai.queue.items[item_id].batch_id, item_id)
    assert tracked is not None
    assert tracked.known.status == "completed"


async def test_what_is_shown_of_others_stays_however_much_is_queued_behind_it(
    house: Correlated, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_reading, "RECENT", 2)
    hold = house.invokeai.hold("img")
    await house.theirs(batches.blank(), runs=5)
    await hold.reached()
    await until_shown(house, (1, "in_progress"))
    await house.connection.reconciler.read_everything()
    assert shown(house) == [(1, "in_progress"), (4, "pending"), (5, "pending")]
    hold.release()


async def test_an_item_the_queue_still_lists_is_not_absent_though_it_cannot_be_read(house: Correlated) -> None:
    """Bulk reads leave out what they fail to read, not only what is gone (FACTS §7, poison)."""
    hold = house.invokeai.hold("img")
    step, [item_id] = await house.ours(batches.blank())
    await hold.reached()
    await until_shown(house, (item_id, "in_progress"))
    house.invokeai.on("/items_by_ids$", answers.body(b"[]"), times=None)
    await house.connection.reconciler.read_everything()
    [row] = await house.fetch("SELECT absent_since FROM queue_items WHERE step_id = $1", step)
    assert row["absent_since"] is None
    hold.release()


async def test_a_reading_that_fails_half_way_proves_no_absence(house: Correlated) -> None:
    step, batch_id = await house.step((1,))
    async with house.database.connection() as connection:
        await add_item(connection, batch_id, step, 77, ordinal=0)
    before = house.connection.reconciler.read_from
    house.invokeai.on("/item_ids$", answers.status(500), times=None)
    with pytest.raises(InvokeError):
        await house.connection.reconciler.read_everything()
    [row] = await house.fetch("SELECT absent_since FROM queue_items WHERE step_id = $1", step)
    assert row["absent_since"] is None
    assert house.connection.reconciler.read_from == before


async def test_an_id_that_a_new_database_gave_away_again_is_found_for_its_new_batch(house: Correlated) -> None:
    """An unsettled item of ours with the same id must not hide it."""
    old_step, old_batch = await house.step((1,))
    async with house.database.connection() as connection:
        await add_item(connection, old_batch, old_step, 1, ordinal=0)
    house.invokeai.drop_events()
    new_step, ids = await house.ours(batches.blank())
    assert ids == [1]
    await house.invokeai.until_ended(1)
    house.registry.request_reading(house.backend_id)
    await house.until_step(new_step, "completed")

    async def missed() -> bool:
        [row] = await house.fetch("SELECT status, absent_since FROM queue_items WHERE batch_id = $1", old_batch)
        return row["status"] == "pending" and row["absent_since"] is not None

    await house.until(missed)


async def test_a_batch_cleared_before_anything_of_it_was_read_does_not_stay_processing(
    house: Correlated, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(correlate, "ABSENCE", 0.2)
    monkeypatch.setattr(reconcile, "ABSENCE", -0.7)
    step, batch_id = await house.step((1, 2))
    async with house.database.connection() as connection:
        for item_id in (101, 102):  # as the answer of the POST named them
            await add_item(connection, batch_id, step, item_id, ordinal=item_id - 101)
    house.registry.request_reading(house.backend_id, [101, 102])
    house.registry.request_reading(house.backend_id)
    await house.until_step(step, "failed")


async def test_a_reading_waits_for_nothing_once_the_server_is_back(
    house: Correlated, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile, "FIRST_WAIT", 3600)
    await house.invokeai.refuse()
    failed = asyncio.Event()
    happened, back = reconcile.happened, house.connection.reconciler._back

    async def waiting(event: asyncio.Event, within: float | None) -> bool:
        if event is back:
            failed.set()
        return await happened(event, within)

    monkeypatch.setattr(reconcile, "happened", waiting)
    before = house.connection.reconciler.read_from
    house.registry.request_reading(house.backend_id)
    async with asyncio.timeout(15):
        await failed.wait()
    await house.invokeai.accept()

    async def read_again() -> bool:
        return house.connection.reconciler.read_from != before

    await house.until(read_again)


async def test_what_is_asked_for_while_a_reading_runs_is_read_by_the_next(house: Correlated) -> None:
    gate = asyncio.Event()
    rule = house.invokeai.on("/item_ids$", answers.after(gate))
    house.registry.request_reading(house.backend_id)
    await rule.wait()
    before = house.connection.reconciler.read_from
    step, ids = await house.ours(batches.blank())
    house.invokeai.drop_events()
    await house.invokeai.until_ended(*ids)
    house.registry.request_reading(house.backend_id, ids)
    gate.set()
    await house.until_step(step, "completed")
    assert house.connection.reconciler.read_from != before


async def test_work_that_was_quiet_too_long_is_read_though_nobody_asked(
    house: Correlated, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile, "QUIET", 0.3)
    house.registry.request_reading(house.backend_id)
    house.invokeai.drop_events()
    step, _ = await house.ours(batches.blank(), items=2)
    await house.until_step(step, "completed")
    await house.until_photos(2)


async def test_asking_for_single_items_does_not_put_off_the_reading_of_everything(
    house: Correlated, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile, "QUIET", 0.3)
    house.registry.request_reading(house.backend_id)
    house.invokeai.drop_events()
    step, _ = await house.ours(batches.blank())

    async def completed() -> bool:
        house.registry.request_reading(house.backend_id, [4711])
        [row] = await house.fetch("SELECT status FROM generation_steps WHERE id = $1", step)
        return bool(row["status"] == "completed")

    await house.until(completed)


async def test_an_item_that_waits_for_a_workflow_it_called_is_live_until_its_end(house: Correlated) -> None:
    """in_progress → waiting → pending → in_progress (FACTS §10)."""
    hold = house.invokeai.hold("img")
    step, [item_id] = await house.ours(batches.blank())
    item = await hold.reached()
    for status in ("waiting", "pending", "in_progress"):
        await house.invokeai.change_status(item, status)
        await until_shown(house, (item_id, status))
        await house.until_step(step, "processing")
    hold.release()
    await house.until_step(step, "completed")


async def test_a_reading_of_which_something_could_not_be_kept_is_no_complete_one(
    house: Correlated, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold = house.invokeai.hold("img")
    _, [item_id] = await house.ours(batches.blank())
    await hold.reached()
    await until_shown(house, (item_id, "in_progress"))
    consumer, before = house.connection.consumer, house.connection.reconciler.read_from
    apply = consumer.apply

    async def fail_once(entry: Entry) -> None:
        if isinstance(entry, ItemReading):
            monkeypatch.setattr(consumer, "apply", apply)
            raise ConnectionError("the database is away")
        await apply(entry)

    monkeypatch.setattr(consumer, "apply", fail_once)
    assert not await house.connection.reconciler._reading.everything()

    async def read_again() -> bool:
        return house.connection.reconciler.read_from != before

    await house.until(read_again)
    hold.release()
