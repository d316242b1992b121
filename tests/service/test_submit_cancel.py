"""Cancel, delete and retry at every moment of a submission (idempotent submit, derived step status)."""

from __future__ import annotations

import asyncio

import pytest

from service.database.engine import Database
from service.errors import Conflict, NotFound
from tests.fakes import ScriptedInvokeAI, answers
from tests.fakes.studio_harness import MODEL, POST, StudioHarness, posts, studio_harness, until_made
from tests.fakes.waiting import eventually

CANCEL = "/cancel_by_batch_ids$"


async def test_what_was_never_sent_is_canceled_at_once(studio: StudioHarness, invokeai: ScriptedInvokeAI) -> None:
    gate = asyncio.Event()
    out = invokeai.on(POST, answers.after(gate))
    first_id = await studio.create(MODEL)
    await out.wait()
    waiting_id = await studio.create(MODEL)
    await studio.cancel(waiting_id)
    step = await studio.step(waiting_id)
    assert step.status == "canceled"
    assert step.cancel_requested_at is not None
    gate.set()
    await studio.until_status(first_id, "completed")
    assert posts(invokeai) == 1


async def test_a_cancel_while_the_post_is_out_waits_for_its_fate_and_then_cancels(
    studio: StudioHarness, invokeai: ScriptedInvokeAI
) -> None:
    gate = asyncio.Event()
    held = invokeai.hold("denoise")
    out = invokeai.on(POST, answers.after(gate))
    step_id = await studio.create(MODEL, batch_size=3)
    await out.wait()
    await studio.cancel(step_id)
    assert (await studio.step(step_id)).status == "pending"
    gate.set()
    await invokeai.until(
        lambda: invokeai.queue.items and all(i.status == "canceled" for i in invokeai.queue.items.values())
    )
    held.release()
    step = await studio.until_status(step_id, "canceled")
    assert step.error_message is None
    assert await studio.states(step_id) == ["enqueued"]


async def test_a_cancel_while_the_post_is_in_doubt_never_posts_again(
    studio: StudioHarness, invokeai: ScriptedInvokeAI
) -> None:
    invokeai.cut_enqueue("before")
    step_id = await studio.create(MODEL)
    await invokeai.until(lambda: any("/b/" in path for _, path in invokeai.requests))
    await studio.cancel(step_id)
    assert (await studio.step(step_id)).status == "pending"
    await studio.until_status(step_id, "canceled")
    assert await studio.states(step_id) == ["lost"]
    assert posts(invokeai) == 1


async def test_a_cancel_in_doubt_cancels_what_arrives_within_the_window(
    studio: StudioHarness, invokeai: ScriptedInvokeAI
) -> None:
    gate = asyncio.Event()
    held = invokeai.hold("denoise")
    invokeai.cut_enqueue("late", gate)
    step_id = await studio.create(MODEL, batch_size=2)
    await invokeai.until(lambda: any("/b/" in path for _, path in invokeai.requests))
    await studio.cancel(step_id)
    gate.set()
    await invokeai.until(
        lambda: invokeai.queue.items and all(i.status == "canceled" for i in invokeai.queue.items.values())
    )
    held.release()
    await studio.until_status(step_id, "canceled")
    assert await studio.states(step_id) == ["enqueued"]


async def test_a_cancel_while_it_runs_keeps_what_was_made(studio: StudioHarness, invokeai: ScriptedInvokeAI) -> None:
    held = invokeai.hold("denoise", item_id=2)
    step_id = await studio.create(MODEL, batch_size=4)
    await held.reached()
    await studio.cancel(step_id)
    await studio.cancel(step_id)
    await invokeai.until_ended(2, 3, 4)
    held.release()
    step = await studio.until_status(step_id, "completed", "canceled")
    assert (step.status, len(step.alternatives)) == ("completed", 1)
    assert step.error_message == "1 of 4 made: canceled"
    assert [item.status for item in step.items] == ["completed", "canceled", "canceled", "canceled"]


async def test_a_cancel_that_fails_is_tried_again(studio: StudioHarness, invokeai: ScriptedInvokeAI) -> None:
    held = invokeai.hold("denoise")
    failing = invokeai.on(CANCEL, answers.status(500), times=2)
    step_id = await studio.create(MODEL)
    item = await held.reached()
    await studio.cancel(step_id)
    await failing.wait(2)
    await invokeai.until(lambda: item.status == "canceled")
    held.release()
    await studio.until_status(step_id, "canceled")


async def test_pending_items_canceled_without_a_word_are_found_by_the_reading_after_the_cancel(
    studio: StudioHarness, invokeai: ScriptedInvokeAI
) -> None:
    """Before 6.14 a bulk cancel gives pending items no event at all (FACTS §11)."""
    held = invokeai.hold("denoise", item_id=1)
    step_id = await studio.create(MODEL, batch_size=3)
    await held.reached()
    invokeai.drop_events()
    await studio.cancel(step_id)
    await invokeai.until_ended(1, 2, 3)
    held.release()
    await studio.until_status(step_id, "canceled")


async def test_an_ended_step_cannot_be_canceled(studio: StudioHarness, invokeai: ScriptedInvokeAI) -> None:
    step_id = await studio.create(MODEL)
    await studio.until_status(step_id, "completed")
    with pytest.raises(Conflict):
        await studio.cancel(step_id)


async def test_a_deleted_step_is_canceled_and_its_pictures_stay(
    studio: StudioHarness, invokeai: ScriptedInvokeAI
) -> None:
    held = invokeai.hold("denoise", item_id=2)
    step_id = await studio.create(MODEL, batch_size=2)
    item = await held.reached()

    async def one_is_here() -> bool:
        return bool((await studio.step(step_id)).alternatives)

    await eventually(one_is_here)
    await studio.delete(step_id)
    await invokeai.until(lambda: item.status == "canceled")
    held.release()
    [row] = await studio.fetch("SELECT count(*) AS photos FROM photos WHERE purged_at IS NULL AND deleted_at IS NULL")
    assert row["photos"] == 1
    with pytest.raises(NotFound):
        await studio.delete(step_id)
    with pytest.raises(NotFound):
        await studio.cancel(step_id)


async def test_a_step_deleted_while_its_post_is_out_is_canceled_on_arrival(
    studio: StudioHarness, invokeai: ScriptedInvokeAI
) -> None:
    gate = asyncio.Event()
    held = invokeai.hold("denoise")
    out = invokeai.on(POST, answers.after(gate))
    step_id = await studio.create(MODEL)
    await out.wait()
    await studio.delete(step_id)
    gate.set()
    await invokeai.until(
        lambda: invokeai.queue.items and all(i.status == "canceled" for i in invokeai.queue.items.values())
    )
    held.release()
    await studio.until_status(step_id, "canceled")


async def test_a_cancel_survives_a_restart_of_darkroom(database: Database, invokeai: ScriptedInvokeAI) -> None:
    held = invokeai.hold("denoise")
    async with studio_harness(database, invokeai) as studio:
        step_id = await studio.create(MODEL)
        item = await held.reached()
        await studio.until_status(step_id, "processing")
        await studio.supervisor.stop("studio")
        await studio.cancel(step_id)
    async with studio_harness(database, invokeai) as studio:
        await invokeai.until(lambda: item.status == "canceled")
        held.release()
        await studio.until_status(step_id, "canceled")


async def test_a_retry_makes_only_the_seeds_that_made_nothing(
    studio: StudioHarness, invokeai: ScriptedInvokeAI
) -> None:
    second, fourth = invokeai.hold("denoise", item_id=2), invokeai.hold("denoise", item_id=4)
    step_id = await studio.create(MODEL, batch_size=4)
    for hold in (second, fourth):
        await invokeai.queue.cancel(await hold.reached())
        hold.release()
    step = await studio.until_status(step_id, "completed")
    assert step.error_message == "2 of 4 made: canceled"
    await studio.retry(step_id)
    await until_made(studio, step_id, 100, 101, 102, 103)
    step = await studio.until_status(step_id, "completed")
    assert step.error_message is None
    assert [batch["seeds"] for batch in await studio.batches(step_id)] == [[100, 101, 102, 103], [101, 103]]
    with pytest.raises(Conflict):
        await studio.retry(step_id)


async def test_a_canceled_step_can_be_retried_and_canceled_again(
    studio: StudioHarness, invokeai: ScriptedInvokeAI
) -> None:
    first, second = invokeai.hold("denoise", item_id=1), invokeai.hold("denoise", item_id=2)
    step_id = await studio.create(MODEL)
    await first.reached()
    with pytest.raises(Conflict):
        await studio.retry(step_id)
    await studio.cancel(step_id)
    await invokeai.until_ended(1)
    first.release()
    await studio.until_status(step_id, "canceled")
    await studio.retry(step_id)
    assert (await studio.step(step_id)).cancel_requested_at is None
    await second.reached()
    await studio.cancel(step_id)
    await invokeai.until_ended(2)
    second.release()
    await studio.until_status(step_id, "canceled")
    await studio.retry(step_id)
    await until_made(studio, step_id, 100)


async def test_a_canceled_step_whose_retry_is_refused_has_failed(
    studio: StudioHarness, invokeai: ScriptedInvokeAI
) -> None:
    held = invokeai.hold("denoise")
    step_id = await studio.create(MODEL)
    await held.reached()
    await studio.cancel(step_id)
    await invokeai.until_ended(1)
    held.release()
    await studio.until_status(step_id, "canceled")
    invokeai.on(POST, answers.status(422, "not today"))
    await studio.retry(step_id)
    step = await studio.until_status(step_id, "failed", "completed", "canceled")
    assert (step.status, step.error_message) == ("failed", "not today")


async def test_a_refused_step_can_be_retried(studio: StudioHarness, invokeai: ScriptedInvokeAI) -> None:
    invokeai.on(POST, answers.status(422, "not today"))
    step_id = await studio.create(MODEL)
    await studio.until_status(step_id, "failed")
    await studio.retry(step_id)
    await until_made(studio, step_id, 100)
    assert await studio.states(step_id) == ["refused", "enqueued"]
