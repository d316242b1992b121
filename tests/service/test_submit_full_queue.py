"""A full queue, excess, and slow or removed backends (rule 7)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from service.database.engine import Database
from service.studio.cancellation import unwanted
from tests.fakes import ScriptedInvokeAI, answers, batches
from tests.fakes.rows import add_backend, add_item
from tests.fakes.studio import MODEL, POST, StudioHouse, eventually, studio_house, until_made


@pytest.fixture
async def invokeai(tmp_path: Path) -> AsyncIterator[ScriptedInvokeAI]:
    invokeai = ScriptedInvokeAI(tmp_path / "invokeai", max_queue_size=3)
    await invokeai.start()
    yield invokeai
    await invokeai.stop()


@pytest.fixture
async def house(database: Database, invokeai: ScriptedInvokeAI) -> AsyncIterator[StudioHouse]:
    async with studio_house(database, invokeai) as house:
        yield house


async def fill(invokeai: ScriptedInvokeAI, count: int) -> Any:
    """Other people's items: one runs and is held, `count` wait."""
    held = invokeai.hold("img")
    await invokeai.enqueue(batches.batch(batches.blank()))
    await held.reached()
    if count:
        await invokeai.enqueue(batches.batch(batches.blank(), runs=count))
    return held


async def test_a_full_queue_leaves_the_step_pending_and_it_is_tried_again(
    house: StudioHouse, invokeai: ScriptedInvokeAI
) -> None:
    held = await fill(invokeai, 3)
    step_id = await house.create(MODEL, batch_size=2)
    await invokeai.until(lambda: sum(path.endswith("enqueue_batch") for _, path in invokeai.requests) >= 2)
    step = await house.step(step_id)
    assert step.status == "pending"
    assert step.submitted_at is None
    [named] = await house.fetch(
        "SELECT s.batch_id = b.batch_id AS it FROM generation_steps s JOIN step_batches b ON true"
    )
    assert named["it"]
    held.release()
    await until_made(house, step_id, 100, 101)
    assert await house.states(step_id) == ["enqueued"]


async def test_what_a_nearly_full_queue_did_not_take_becomes_another_batch(
    house: StudioHouse, invokeai: ScriptedInvokeAI
) -> None:
    held = await fill(invokeai, 1)
    step_id = await house.create(MODEL, batch_size=5)
    await house.until_status(step_id, "processing")
    first, rest = await house.batches(step_id)
    assert (first["state"], first["wanted"], first["enqueued"], first["seeds"]) == ("enqueued", 2, 2, [100, 101])
    assert rest["seeds"] == [102, 103, 104]
    held.release()
    await until_made(house, step_id, 100, 101, 102, 103, 104)


async def test_the_rest_of_a_batch_cut_in_its_answer_becomes_another_too(
    house: StudioHouse, invokeai: ScriptedInvokeAI
) -> None:
    held = await fill(invokeai, 1)
    invokeai.cut_enqueue("during")
    step_id = await house.create(MODEL, batch_size=3)
    await house.until_status(step_id, "processing")
    assert [batch["seeds"] for batch in await house.batches(step_id)] == [[100, 101], [102]]
    held.release()
    await until_made(house, step_id, 100, 101, 102)


async def test_a_step_canceled_while_the_queue_is_full_is_not_sent_again(
    house: StudioHouse, invokeai: ScriptedInvokeAI
) -> None:
    held = await fill(invokeai, 3)
    refused = invokeai.on(POST, answers.after(0.0), times=None)
    step_id = await house.create(MODEL)
    await refused.wait(2)
    await house.cancel(step_id)
    await house.until_status(step_id, "canceled")
    held.release()
    other_id = await house.create(MODEL)
    await house.until_status(other_id, "completed")
    assert (await house.step(step_id)).items == []


async def test_items_beyond_what_was_asked_are_canceled(house: StudioHouse, invokeai: ScriptedInvokeAI) -> None:
    """A proxy that sends a POST twice, cutting the first answer."""
    held = invokeai.hold("denoise")
    invokeai.max_queue_size = invokeai.queue.max_queue_size = 100

    async def twice(request: Any, handler: Any) -> Any:
        body = await request.json()
        await invokeai.enqueue(body)
        await invokeai.enqueue(body)
        return await answers.cut()(request, handler)

    invokeai.on(POST, twice)
    step_id = await house.create(MODEL, batch_size=3)
    await invokeai.until(lambda: sum(item.status == "canceled" for item in invokeai.queue.items.values()) == 3)
    held.release()
    await until_made(house, step_id, 100, 101, 102)
    assert [invokeai.queue.items[k].status for k in sorted(invokeai.queue.items)] == ["completed"] * 3 + [
        "canceled"
    ] * 3
    assert await house.states(step_id) == ["enqueued"]


async def test_an_item_retried_in_invokeais_own_way_is_not_taken_for_excess(
    house: StudioHouse, invokeai: ScriptedInvokeAI
) -> None:
    first, second = invokeai.hold("denoise", item_id=1), invokeai.hold("denoise", item_id=2)
    step_id = await house.create(MODEL, batch_size=1)
    item = await first.reached()
    await invokeai.queue.cancel(item)
    first.release()
    await house.until_status(step_id, "canceled")
    await invokeai.queue.retry("default", [item.item_id])
    retried = await second.reached()
    await house.until_status(step_id, "processing")
    house.submitter.wake()
    await eventually(lambda: house.fetch("SELECT FROM queue_items WHERE retried_from_item_id = 1"))
    house.submitter.wake()
    second.release()
    await until_made(house, step_id, 100)
    assert retried.status == "completed"


async def test_an_item_retried_in_invokeai_is_canceled_with_its_step(
    house: StudioHouse, invokeai: ScriptedInvokeAI
) -> None:
    first, second = invokeai.hold("denoise", item_id=1), invokeai.hold("denoise", item_id=2)
    step_id = await house.create(MODEL, batch_size=1)
    item = await first.reached()
    await invokeai.queue.cancel(item)
    first.release()
    await house.until_status(step_id, "canceled")
    await invokeai.queue.retry("default", [item.item_id])
    retried = await second.reached()
    await house.until_status(step_id, "processing")
    await house.cancel(step_id)
    await invokeai.until(lambda: retried.status == "canceled")
    second.release()
    await house.until_status(step_id, "canceled")


async def test_what_is_retried_in_invokeai_after_the_owners_cancel_is_wanted_until_the_next(
    house: StudioHouse, invokeai: ScriptedInvokeAI
) -> None:
    first, second = invokeai.hold("denoise", item_id=1), invokeai.hold("denoise", item_id=2)
    step_id = await house.create(MODEL, batch_size=1)
    item = await first.reached()
    await house.cancel(step_id)
    await invokeai.until(lambda: item.status == "canceled")
    first.release()
    await house.until_status(step_id, "canceled")
    async with house.database.connection() as connection:  # not within the second that InvokeAI's clock is unsure of
        await connection.execute("UPDATE generation_steps SET cancel_requested_at = now() - interval '1 minute'")
    await invokeai.queue.retry("default", [item.item_id])
    retried = await second.reached()
    await house.until_status(step_id, "processing")
    await eventually(lambda: house.fetch("SELECT FROM queue_items WHERE retried_from_item_id = 1"))
    async with house.database.connection() as connection:
        found = await unwanted(connection, house.backend_id, ())
    assert (found.batches, found.beyond) == ({}, {})
    assert retried.status == "in_progress"
    await house.cancel(step_id)
    await invokeai.until(lambda: retried.status == "canceled")
    second.release()
    await house.until_status(step_id, "canceled")


async def test_an_item_beyond_what_was_asked_is_not_canceled_in_a_new_database(
    house: StudioHouse, invokeai: ScriptedInvokeAI
) -> None:
    held = invokeai.hold("denoise")
    step_id = await house.create(MODEL, batch_size=1)
    await held.reached()
    async with house.database.connection() as connection:
        [batch] = await house.batches(step_id)
        await add_item(connection, batch["batch_id"], step_id, 2)
    theirs = await invokeai.enqueue(batches.batch(batches.blank()))
    assert theirs["item_ids"] == [2]
    house.submitter.wake()
    await invokeai.until(lambda: any(path.endswith("items_by_ids") for _, path in invokeai.requests))
    held.release()
    await invokeai.until_ended(1, 2)
    assert invokeai.queue.items[2].status == "completed"


async def test_a_step_whose_models_cannot_be_read_holds_up_no_other(
    house: StudioHouse, invokeai: ScriptedInvokeAI
) -> None:
    broken = invokeai.on("/models/$", answers.status(500), times=None)
    unready = await house.create({"key": "unheard of", "hash": "blake3:0"})
    await broken.wait()
    other = await house.create(MODEL)
    await house.until_status(other, "completed")
    assert (await house.step(unready)).status == "pending"
    broken.remove()
    house.submitter.wake()
    await house.until_status(unready, "failed")


async def test_a_silent_backend_does_not_hold_up_another(
    house: StudioHouse, invokeai: ScriptedInvokeAI, tmp_path: Path
) -> None:
    other = ScriptedInvokeAI(tmp_path / "other")
    await other.start()
    never = asyncio.Event()
    silent = invokeai.on(POST, answers.after(never), times=None)
    try:
        slow_id = await house.create(MODEL)
        await silent.wait()
        async with house.database.connection() as connection:
            other_id = await add_backend(connection, url=other.url, name="other")
        await house.registry.reload()
        step_id = await house.create(MODEL, backend_id=other_id)
        await house.until_status(step_id, "completed")
        assert (await house.step(slow_id)).status == "pending"
    finally:
        silent.remove()
        never.set()
        await other.stop()


async def test_a_cancel_does_not_wait_for_another_steps_post(house: StudioHouse, invokeai: ScriptedInvokeAI) -> None:
    held = invokeai.hold("denoise")
    running_id = await house.create(MODEL)
    item = await held.reached()
    gate = asyncio.Event()
    out = invokeai.on(POST, answers.after(gate))
    waiting_id = await house.create(MODEL)
    await out.wait()
    await house.cancel(running_id)
    await invokeai.until(lambda: item.status == "canceled")
    assert await house.states(waiting_id) == ["posted"]
    gate.set()
    held.release()
    await house.until_status(waiting_id, "completed")


async def test_a_removed_backend_ends_its_lane_and_nothing_more_is_sent(
    house: StudioHouse, invokeai: ScriptedInvokeAI
) -> None:
    gate = asyncio.Event()
    out = invokeai.on(POST, answers.after(gate))
    step_id = await house.create(MODEL)
    await out.wait()
    async with house.database.connection() as connection:
        await connection.execute("DELETE FROM backends WHERE id = $1", house.backend_id)
    await house.registry.reload()
    house.submitter.wake()

    async def gone() -> bool:
        return not house.submitter.backends

    await eventually(gone)
    gate.set()
    assert await house.batches(step_id) == []
    assert (await house.step(step_id)).backend_id is None


async def test_the_announcement_of_a_batch_a_full_queue_took_nothing_of_is_no_arrival(
    house: StudioHouse, invokeai: ScriptedInvokeAI
) -> None:
    held = await fill(invokeai, 3)
    invokeai.cut_enqueue("during")
    step_id = await house.create(MODEL)
    await house.until_states(step_id, "lost", "prepared")
    held.release()
    await until_made(house, step_id, 100)
