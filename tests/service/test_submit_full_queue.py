"""A full queue, excess, and slow or removed backends (idempotent submit)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import ScriptedInvokeAI, answers, batches
from tests.fakes.rows import add_backend
from tests.fakes.studio_harness import MODEL, POST, StudioHarness, until_made
from tests.fakes.waiting import eventually


@pytest.fixture
async def invokeai(tmp_path: Path) -> AsyncIterator[ScriptedInvokeAI]:
    invokeai = ScriptedInvokeAI(tmp_path / "invokeai", max_queue_size=3)
    await invokeai.start()
    yield invokeai
    await invokeai.stop()


async def fill(invokeai: ScriptedInvokeAI, count: int) -> Any:
    """Other people's items: one runs and is held, `count` wait."""
    held = invokeai.hold("img")
    await invokeai.enqueue(batches.batch(batches.blank()))
    await held.reached()
    if count:
        await invokeai.enqueue(batches.batch(batches.blank(), runs=count))
    return held


async def test_a_full_queue_leaves_the_step_pending_and_it_is_tried_again(
    studio: StudioHarness, invokeai: ScriptedInvokeAI
) -> None:
    held = await fill(invokeai, 3)
    step_id = await studio.create(MODEL, batch_size=2)
    await invokeai.until(lambda: sum(path.endswith("enqueue_batch") for _, path in invokeai.requests) >= 2)
    step = await studio.step(step_id)
    assert step.status == "pending"
    assert step.submitted_at is None
    [named] = await studio.fetch(
        "SELECT s.batch_id = b.batch_id AS it FROM generation_steps s JOIN step_batches b ON true"
    )
    assert named["it"]
    held.release()
    await until_made(studio, step_id, 100, 101)
    assert await studio.states(step_id) == ["enqueued"]


async def test_what_a_nearly_full_queue_did_not_take_becomes_another_batch(
    studio: StudioHarness, invokeai: ScriptedInvokeAI
) -> None:
    held = await fill(invokeai, 1)
    step_id = await studio.create(MODEL, batch_size=5)
    await studio.until_status(step_id, "processing")
    first, rest = await studio.batches(step_id)
    assert (first["state"], first["wanted"], first["enqueued"], first["seeds"]) == ("enqueued", 2, 2, [100, 101])
    assert rest["seeds"] == [102, 103, 104]
    held.release()
    await until_made(studio, step_id, 100, 101, 102, 103, 104)


async def test_the_rest_of_a_batch_cut_in_its_answer_becomes_another_too(
    studio: StudioHarness, invokeai: ScriptedInvokeAI
) -> None:
    held = await fill(invokeai, 1)
    invokeai.cut_enqueue("during")
    step_id = await studio.create(MODEL, batch_size=3)
    await studio.until_status(step_id, "processing")
    assert [batch["seeds"] for batch in await studio.batches(step_id)] == [[100, 101], [102]]
    held.release()
    await until_made(studio, step_id, 100, 101, 102)


async def test_a_step_canceled_while_the_queue_is_full_is_not_sent_again(
    studio: StudioHarness, invokeai: ScriptedInvokeAI
) -> None:
    held = await fill(invokeai, 3)
    refused = invokeai.on(POST, answers.after(0.0), times=None)
    step_id = await studio.create(MODEL)
    await refused.wait(2)
    await studio.cancel(step_id)
    await studio.until_status(step_id, "canceled")
    held.release()
    other_id = await studio.create(MODEL)
    await studio.until_status(other_id, "completed")
    assert (await studio.step(step_id)).items == []


async def test_a_step_whose_models_cannot_be_read_holds_up_no_other(
    studio: StudioHarness, invokeai: ScriptedInvokeAI
) -> None:
    broken = invokeai.on("/models/$", answers.status(500), times=None)
    unready = await studio.create({"key": "unheard of", "hash": "blake3:0"})
    await broken.wait()
    other = await studio.create(MODEL)
    await studio.until_status(other, "completed")
    assert (await studio.step(unready)).status == "pending"
    broken.remove()
    studio.bus.submission_due()
    await studio.until_status(unready, "failed")


async def test_a_silent_backend_does_not_hold_up_another(
    studio: StudioHarness, invokeai: ScriptedInvokeAI, tmp_path: Path
) -> None:
    other = ScriptedInvokeAI(tmp_path / "other")
    await other.start()
    never = asyncio.Event()
    silent = invokeai.on(POST, answers.after(never), times=None)
    try:
        slow_id = await studio.create(MODEL)
        await silent.wait()
        async with studio.database.connection() as connection:
            other_id = await add_backend(connection, url=other.url, name="other")
        await studio.registry.reload()
        step_id = await studio.create(MODEL, backend_id=other_id)
        await studio.until_status(step_id, "completed")
        assert (await studio.step(slow_id)).status == "pending"
    finally:
        silent.remove()
        never.set()
        await other.stop()


async def test_a_cancel_does_not_wait_for_another_steps_post(studio: StudioHarness, invokeai: ScriptedInvokeAI) -> None:
    held = invokeai.hold("denoise")
    running_id = await studio.create(MODEL)
    item = await held.reached()
    gate = asyncio.Event()
    out = invokeai.on(POST, answers.after(gate))
    waiting_id = await studio.create(MODEL)
    await out.wait()
    await studio.cancel(running_id)
    await invokeai.until(lambda: item.status == "canceled")
    assert await studio.states(waiting_id) == ["posted"]
    gate.set()
    held.release()
    await studio.until_status(waiting_id, "completed")


async def test_a_removed_backend_ends_its_lane_and_nothing_more_is_sent(
    studio: StudioHarness, invokeai: ScriptedInvokeAI
) -> None:
    gate = asyncio.Event()
    out = invokeai.on(POST, answers.after(gate))
    step_id = await studio.create(MODEL)
    await out.wait()
    async with studio.database.connection() as connection:
        await connection.execute("DELETE FROM backends WHERE id = $1", studio.backend_id)
    await studio.registry.reload()
    studio.bus.submission_due()

    async def gone() -> bool:
        return not studio.worker.backends

    await eventually(gone)
    gate.set()
    assert await studio.batches(step_id) == []
    assert (await studio.step(step_id)).backend_id is None


async def test_the_announcement_of_a_batch_a_full_queue_took_nothing_of_is_no_arrival(
    studio: StudioHarness, invokeai: ScriptedInvokeAI
) -> None:
    held = await fill(invokeai, 3)
    invokeai.cut_enqueue("during")
    step_id = await studio.create(MODEL)
    await studio.until_states(step_id, "lost", "prepared")
    held.release()
    await until_made(studio, step_id, 100)
