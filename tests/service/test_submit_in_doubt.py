"""A POST without an answer (idempotent submit): polled for until its outcome is certain, and never sent twice."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from service.studio import cancellation
from tests.fakes import ScriptedInvokeAI, answers
from tests.fakes.studio_harness import MODEL, POST, StudioHarness, posts, until_made
from tests.fakes.waiting import eventually


@pytest.mark.parametrize("when", ["during", "after"])
async def test_a_post_cut_after_its_effect_is_found_by_asking(
    studio: StudioHarness, invokeai: ScriptedInvokeAI, when: str
) -> None:
    invokeai.cut_enqueue(when)
    step_id = await studio.create(MODEL, batch_size=2)
    await until_made(studio, step_id, 100, 101)
    assert await studio.states(step_id) == ["enqueued"]
    assert posts(invokeai) == 1


async def test_a_5xx_is_asked_about_and_not_repeated(studio: StudioHarness, invokeai: ScriptedInvokeAI) -> None:
    async def effect_then_500(request: Any, handler: Any) -> Any:
        await handler(request)
        return await answers.status(500)(request, handler)

    invokeai.on(POST, effect_then_500)
    step_id = await studio.create(MODEL)
    await studio.until_status(step_id, "completed")
    assert await studio.states(step_id) == ["enqueued"]
    assert posts(invokeai) == 1


async def test_a_post_without_an_answer_is_asked_about_when_its_time_is_up(
    studio: StudioHarness, invokeai: ScriptedInvokeAI
) -> None:
    never = asyncio.Event()
    held = invokeai.hold("denoise")

    async def effect_then_silence(request: Any, handler: Any) -> Any:
        answer = await handler(request)
        await never.wait()
        return answer

    invokeai.on(POST, effect_then_silence)
    step_id = await studio.create(MODEL)
    await studio.until_status(step_id, "processing")  # its item speaks for it before its answer does
    await studio.until_states(step_id, "enqueued")
    held.release()
    await studio.until_status(step_id, "completed")
    assert posts(invokeai) == 1
    never.set()


async def test_a_post_cut_before_its_effect_is_sent_again_only_after_the_window(
    studio: StudioHarness, invokeai: ScriptedInvokeAI
) -> None:
    invokeai.cut_enqueue("before")
    step_id = await studio.create(MODEL, batch_size=2)
    await invokeai.until(lambda: any("/status" in path and "/b/" in path for _, path in invokeai.requests))
    assert await studio.states(step_id) == ["posted"]
    await studio.until_states(step_id, "lost", "enqueued")
    await until_made(studio, step_id, 100, 101)
    lost, sent = await studio.batches(step_id)
    assert (lost["state"], lost["refusal"], lost["seeds"]) == ("refused", None, sent["seeds"])
    assert (lost["lost_at"] - lost["posted_at"]).total_seconds() >= 2.4
    assert (await studio.step(step_id)).batch_id == sent["batch_id"]
    assert posts(invokeai) == 2


async def test_an_effect_within_the_window_never_makes_a_second_batch(
    studio: StudioHarness, invokeai: ScriptedInvokeAI
) -> None:
    gate = asyncio.Event()
    invokeai.cut_enqueue("late", gate)
    step_id = await studio.create(MODEL, batch_size=3)

    def asked() -> int:
        return sum("/b/" in path for _, path in invokeai.requests)

    await invokeai.until(lambda: asked() >= 2)  # it was told "total 0" twice
    assert await studio.states(step_id) == ["posted"]
    gate.set()
    await until_made(studio, step_id, 100, 101, 102)
    assert await studio.states(step_id) == ["enqueued"]
    assert posts(invokeai) == 1


async def test_an_effect_after_the_window_is_canceled_and_what_it_saved_is_filed(
    studio: StudioHarness, invokeai: ScriptedInvokeAI
) -> None:
    gate = asyncio.Event()
    invokeai.cut_enqueue("late", gate)
    step_id = await studio.create(MODEL, batch_size=2)
    await until_made(studio, step_id, 100, 101)
    assert await studio.states(step_id) == ["lost", "enqueued"]
    lost, _ = await studio.batches(step_id)

    def late_items() -> list[Any]:
        return [item for item in invokeai.queue.items.values() if item.batch_id == lost["batch_id"]]

    # The first late item is finished before Darkroom hears of any; the second is held.
    first, second = max(invokeai.queue.items) + 1, max(invokeai.queue.items) + 2
    invokeai.drop_events("batch_enqueued")
    invokeai.drop_events(where=lambda event: event.payload.get("item_id") == first)
    hold = invokeai.hold("denoise", item_id=second)
    gate.set()
    await invokeai.until(late_items)
    await invokeai.until_ended(first, second)
    hold.release()
    await until_made(studio, step_id, 100, 100, 101)
    step = await studio.step(step_id)
    assert {item.item_id: item.status for item in step.items if item.batch_id == lost["batch_id"]} == {
        first: "completed",
        second: "canceled",
    }
    assert posts(invokeai) == 2


async def test_a_late_effect_is_canceled_at_its_announcement(studio: StudioHarness, invokeai: ScriptedInvokeAI) -> None:
    gate = asyncio.Event()
    invokeai.cut_enqueue("late", gate)
    step_id = await studio.create(MODEL, batch_size=1)
    await studio.until_status(step_id, "completed")
    held = invokeai.hold("denoise")
    gate.set()
    lost, _ = await studio.batches(step_id)
    await invokeai.until(lambda: any(item.batch_id == lost["batch_id"] for item in invokeai.queue.items.values()))
    [item] = [item for item in invokeai.queue.items.values() if item.batch_id == lost["batch_id"]]
    await invokeai.until(lambda: item.status == "canceled")
    held.release()
    await studio.until_status(step_id, "completed")


async def test_a_batch_finished_and_pruned_before_it_was_asked_for_is_known_by_its_image(
    studio: StudioHarness, invokeai: ScriptedInvokeAI
) -> None:
    """Total 0 again, after it all happened (FACTS §10)."""
    rule = invokeai.on("/b/.*/status$", answers.status(503), times=None)
    invokeai.drop_events()
    invokeai.cut_enqueue("during")
    step_id = await studio.create(MODEL, batch_size=2)
    await invokeai.until(lambda: len(invokeai.queue.items) == 2)
    await invokeai.until_ended(*invokeai.queue.items)
    invokeai.queue.prune("default", None)
    rule.remove()
    await studio.until_states(step_id, "enqueued")
    assert posts(invokeai) == 1


async def test_a_batch_whose_first_items_were_pruned_before_it_was_asked_for_is_not_sent_again(
    studio: StudioHarness, invokeai: ScriptedInvokeAI
) -> None:
    """Fewer than asked for are there, and not the first ones: a full queue would have taken those."""
    held = invokeai.hold("denoise", item_id=3)
    rule = invokeai.on("/b/.*/status$", answers.status(503), times=None)
    invokeai.drop_events()
    invokeai.cut_enqueue("during")
    step_id = await studio.create(MODEL, batch_size=4)
    await held.reached()
    invokeai.queue.prune("default", None)
    assert sorted(invokeai.queue.items) == [3, 4]
    rule.remove()
    await studio.until_states(step_id, "enqueued")
    held.release()
    await invokeai.until_ended(3, 4)
    assert posts(invokeai) == 1
    [batch] = await studio.batches(step_id)
    assert (batch["enqueued"], batch["seeds"]) == (4, [100, 101, 102, 103])


async def test_an_answer_whose_commit_fails_is_found_by_asking(
    studio: StudioHarness, invokeai: ScriptedInvokeAI
) -> None:
    gate = asyncio.Event()
    out = invokeai.on(POST, answers.after(gate))
    async with studio.database.transaction() as blocker:
        step_id = await studio.create(MODEL, batch_size=2)
        await out.wait()
        await blocker.execute("SELECT FROM generation_steps WHERE id = $1 FOR UPDATE", step_id)
        gate.set()
        cut = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                  WHERE datname = current_database() AND wait_event_type = 'Lock' AND query ~ 'AS unwanted'"""

        async def connection_cut() -> bool:
            return bool(await studio.fetch(cut))

        await eventually(connection_cut)
    await until_made(studio, step_id, 100, 101)
    assert await studio.states(step_id) == ["enqueued"]
    assert posts(invokeai) == 1


async def test_a_late_effect_is_canceled_though_the_database_was_away_at_its_announcement(
    studio: StudioHarness, invokeai: ScriptedInvokeAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, unwanted = asyncio.Event(), cancellation.unwanted
    invokeai.cut_enqueue("late", gate)
    step_id = await studio.create(MODEL, batch_size=1)
    await studio.until_status(step_id, "completed")

    async def fail_once(connection: Any, backend_id: Any, seen: Any) -> Any:
        if seen:
            monkeypatch.setattr(cancellation, "unwanted", unwanted)
            raise ConnectionError("the database is restarting")
        return await unwanted(connection, backend_id, seen)

    monkeypatch.setattr(cancellation, "unwanted", fail_once)
    invokeai.drop_events(where=lambda event: event.name != "batch_enqueued")
    held = invokeai.hold("denoise")
    gate.set()
    await invokeai.until(lambda: any(item.status == "canceled" for item in invokeai.queue.items.values()))
    held.release()


async def test_what_is_heard_of_while_the_gallery_is_looked_through_is_not_posted_again(
    studio: StudioHarness, invokeai: ScriptedInvokeAI
) -> None:
    effect, looked, asked = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow(request: Any, handler: Any) -> Any:
        if "categories" in request.query_string:
            asked.set()
            await looked.wait()
        return await handler(request)

    invokeai.cut_enqueue("late", effect)
    invokeai.on("/api/v1/images/$", slow, times=None)
    step_id = await studio.create(MODEL, batch_size=1)
    async with asyncio.timeout(20):
        await asked.wait()
    invokeai.drop_events("batch_enqueued")
    held = invokeai.hold("denoise")
    effect.set()
    await held.reached()

    async def known() -> bool:
        return bool(await studio.fetch("SELECT FROM queue_items"))

    await eventually(known)
    looked.set()
    held.release()
    await until_made(studio, step_id, 100)
    await studio.until_status(step_id, "completed")
    assert await studio.states(step_id) == ["enqueued"]
    assert posts(invokeai) == 1
