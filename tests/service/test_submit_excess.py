"""More items than were asked for (idempotent submit): canceled, unless they were retried at InvokeAI's side."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from service.demo.queue import Item
from service.studio.cancellation import unwanted
from tests.fakes import ScriptedInvokeAI, answers, batches
from tests.fakes.rows import add_item
from tests.fakes.scripted import Hold
from tests.fakes.studio_harness import MODEL, POST, StudioHarness, until_made
from tests.fakes.waiting import eventually


async def test_items_beyond_what_was_asked_are_canceled(studio: StudioHarness, invokeai: ScriptedInvokeAI) -> None:
    """A proxy that sends a POST twice, cutting the first answer."""
    held = invokeai.hold("denoise")
    invokeai.max_queue_size = invokeai.queue.max_queue_size = 100

    async def twice(request: Any, handler: Any) -> Any:
        body = await request.json()
        await invokeai.enqueue(body)
        await invokeai.enqueue(body)
        return await answers.cut()(request, handler)

    invokeai.on(POST, twice)
    step_id = await studio.create(MODEL, batch_size=3)
    await invokeai.until(lambda: sum(item.status == "canceled" for item in invokeai.queue.items.values()) == 3)
    held.release()
    await until_made(studio, step_id, 100, 101, 102)
    assert [invokeai.queue.items[k].status for k in sorted(invokeai.queue.items)] == ["completed"] * 3 + [
        "canceled"
    ] * 3
    assert await studio.states(step_id) == ["enqueued"]


async def retried_there(studio: StudioHarness, invokeai: ScriptedInvokeAI) -> tuple[UUID, Item, Hold]:
    """A step whose one item was canceled and retried in InvokeAI itself: the retry, running, and what holds it."""
    first, second = invokeai.hold("denoise", item_id=1), invokeai.hold("denoise", item_id=2)
    step_id = await studio.create(MODEL, batch_size=1)
    item = await first.reached()
    await invokeai.queue.cancel(item)
    first.release()
    await studio.until_status(step_id, "canceled")
    await invokeai.queue.retry("default", [item.item_id])
    retried = await second.reached()
    await studio.until_status(step_id, "processing")
    return step_id, retried, second


async def test_an_item_retried_in_invokeais_own_way_is_not_taken_for_excess(
    studio: StudioHarness, invokeai: ScriptedInvokeAI
) -> None:
    step_id, retried, second = await retried_there(studio, invokeai)
    studio.bus.submission_due()
    await eventually(lambda: studio.fetch("SELECT FROM queue_items WHERE retried_from_item_id = 1"))
    studio.bus.submission_due()
    second.release()
    await until_made(studio, step_id, 100)
    assert retried.status == "completed"


async def test_an_item_retried_in_invokeai_is_canceled_with_its_step(
    studio: StudioHarness, invokeai: ScriptedInvokeAI
) -> None:
    step_id, retried, second = await retried_there(studio, invokeai)
    await studio.cancel(step_id)
    await invokeai.until(lambda: retried.status == "canceled")
    second.release()
    await studio.until_status(step_id, "canceled")


async def test_what_is_retried_in_invokeai_after_the_owners_cancel_is_wanted_until_the_next(
    studio: StudioHarness, invokeai: ScriptedInvokeAI
) -> None:
    first, second = invokeai.hold("denoise", item_id=1), invokeai.hold("denoise", item_id=2)
    step_id = await studio.create(MODEL, batch_size=1)
    item = await first.reached()
    await studio.cancel(step_id)
    await invokeai.until(lambda: item.status == "canceled")
    first.release()
    await studio.until_status(step_id, "canceled")
    await invokeai.queue.retry("default", [item.item_id])
    retried = await second.reached()
    await studio.until_status(step_id, "processing")
    await eventually(lambda: studio.fetch("SELECT FROM queue_items WHERE retried_from_item_id = 1"))
    async with studio.database.connection() as connection:
        found = await unwanted(connection, studio.backend_id, ())
    assert (found.batches, found.beyond) == ({}, {})
    assert retried.status == "in_progress"
    await studio.cancel(step_id)
    await invokeai.until(lambda: retried.status == "canceled")
    second.release()
    await studio.until_status(step_id, "canceled")


async def test_an_item_beyond_what_was_asked_is_not_canceled_in_a_new_database(
    studio: StudioHarness, invokeai: ScriptedInvokeAI
) -> None:
    held = invokeai.hold("denoise")
    step_id = await studio.create(MODEL, batch_size=1)
    await held.reached()
    async with studio.database.connection() as connection:
        [batch] = await studio.batches(step_id)
        await add_item(connection, batch["batch_id"], step_id, 2)
    theirs = await invokeai.enqueue(batches.batch(batches.blank()))
    assert theirs["item_ids"] == [2]
    studio.bus.submission_due()
    await invokeai.until(lambda: any(path.endswith("items_by_ids") for _, path in invokeai.requests))
    held.release()
    await invokeai.until_ended(1, 2)
    assert invokeai.queue.items[2].status == "completed"


async def test_an_item_beyond_what_was_asked_is_read_after_its_cancel(
    studio: StudioHarness, invokeai: ScriptedInvokeAI
) -> None:
    """Every cancel is followed by a reading: nothing depends on the event of its end (events are hints)."""
    bodies: list[Any] = []

    async def overheard(request: Any, handler: Any) -> Any:
        bodies.append(await request.json())
        return await handler(request)

    invokeai.on(POST, overheard)
    held = invokeai.hold("denoise", item_id=2)
    step_id = await studio.create(MODEL, batch_size=1)
    await until_made(studio, step_id, 100)
    invokeai.drop_events("queue_item_status_changed", lambda event: event.payload["status"] == "canceled")
    await invokeai.enqueue(bodies[0])
    await held.reached()
    await invokeai.until(lambda: invokeai.queue.items[2].status == "canceled")
    held.release()
    await eventually(lambda: studio.fetch("SELECT FROM queue_items WHERE item_id = 2 AND status = 'canceled'"))
