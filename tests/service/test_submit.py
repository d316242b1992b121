"""Submission (rule 7) against a scripted InvokeAI: whatever becomes of a POST, nothing is made twice, nothing lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from service.database.engine import Database
from service.demo.http import json_answer
from service.invokeai.client import InvokeClient
from tests.fakes import ScriptedInvokeAI, answers
from tests.fakes.studio import MODEL, POST, StudioHouse, eventually, studio_house, until_made


@pytest.fixture
async def house(database: Database, invokeai: ScriptedInvokeAI) -> AsyncIterator[StudioHouse]:
    async with studio_house(database, invokeai) as house:
        yield house


def posts(invokeai: ScriptedInvokeAI) -> int:
    return sum(method == "POST" and path.endswith("/enqueue_batch") for method, path in invokeai.requests)


async def test_a_batch_of_four_is_one_post_with_four_seeds_and_comes_back_as_four_alternatives(
    house: StudioHouse, invokeai: ScriptedInvokeAI
) -> None:
    step_id = await house.create(MODEL, batch_size=4)
    step = await house.until_status(step_id, "completed", "failed")
    assert (step.status, step.error_message) == ("completed", None)
    await until_made(house, step_id, 100, 101, 102, 103)
    assert [photo.created_at for photo in step.alternatives] == sorted(p.created_at for p in step.alternatives)
    assert [item.ordinal for item in step.items] == [0, 1, 2, 3]
    assert posts(invokeai) == 1
    assert step.submitted_at is not None
    [batch] = await house.batches(step_id)
    assert (batch["state"], batch["enqueued"], batch["batch_id"]) == ("enqueued", 4, step.batch_id)
    item = invokeai.queue.items[step.items[0].item_id]
    assert (item.origin, item.destination, item.batch_id) == ("darkroom", f"step:{step_id}", batch["batch_id"])


async def test_the_step_is_pending_at_once_and_stays_so_while_the_post_is_out(
    house: StudioHouse, invokeai: ScriptedInvokeAI
) -> None:
    gate = asyncio.Event()
    rule = invokeai.on(POST, answers.after(gate))
    step_id = await house.create(MODEL)
    assert (await house.step(step_id)).status == "pending"
    await rule.wait()
    assert (await house.step(step_id)).status == "pending"
    assert await house.states(step_id) == ["posted"]
    gate.set()
    await house.until_status(step_id, "completed")


@pytest.mark.parametrize("when", ["during", "after"])
async def test_a_post_cut_after_its_effect_is_found_by_asking(
    house: StudioHouse, invokeai: ScriptedInvokeAI, when: str
) -> None:
    invokeai.cut_enqueue(when)
    step_id = await house.create(MODEL, batch_size=2)
    await until_made(house, step_id, 100, 101)
    assert await house.states(step_id) == ["enqueued"]
    assert posts(invokeai) == 1


async def test_a_5xx_is_asked_about_and_not_repeated(house: StudioHouse, invokeai: ScriptedInvokeAI) -> None:
    async def effect_then_500(request: Any, handler: Any) -> Any:
        await handler(request)
        return await answers.status(500)(request, handler)

    invokeai.on(POST, effect_then_500)
    step_id = await house.create(MODEL)
    await house.until_status(step_id, "completed")
    assert await house.states(step_id) == ["enqueued"]
    assert posts(invokeai) == 1


async def test_a_post_without_an_answer_is_asked_about_when_its_time_is_up(
    house: StudioHouse, invokeai: ScriptedInvokeAI
) -> None:
    never = asyncio.Event()
    held = invokeai.hold("denoise")

    async def effect_then_silence(request: Any, handler: Any) -> Any:
        answer = await handler(request)
        await never.wait()
        return answer

    invokeai.on(POST, effect_then_silence)
    step_id = await house.create(MODEL)
    await house.until_status(step_id, "processing")  # its item speaks for it before its answer does
    await house.until_states(step_id, "enqueued")
    held.release()
    await house.until_status(step_id, "completed")
    assert posts(invokeai) == 1
    never.set()


async def test_a_post_cut_before_its_effect_is_sent_again_only_after_the_window(
    house: StudioHouse, invokeai: ScriptedInvokeAI
) -> None:
    invokeai.cut_enqueue("before")
    step_id = await house.create(MODEL, batch_size=2)
    await invokeai.until(lambda: any("/status" in path and "/b/" in path for _, path in invokeai.requests))
    assert await house.states(step_id) == ["posted"]
    await house.until_states(step_id, "lost", "enqueued")
    await until_made(house, step_id, 100, 101)
    lost, sent = await house.batches(step_id)
    assert (lost["state"], lost["refusal"], lost["seeds"]) == ("refused", None, sent["seeds"])
    assert (lost["lost_at"] - lost["posted_at"]).total_seconds() >= 2.4
    assert (await house.step(step_id)).batch_id == sent["batch_id"]
    assert posts(invokeai) == 2


async def test_an_effect_within_the_window_never_makes_a_second_batch(
    house: StudioHouse, invokeai: ScriptedInvokeAI
) -> None:
    gate = asyncio.Event()
    invokeai.cut_enqueue("late", gate)
    step_id = await house.create(MODEL, batch_size=3)

    def asked() -> int:
        return sum("/b/" in path for _, path in invokeai.requests)

    await invokeai.until(lambda: asked() >= 2)  # it was told "total 0" twice
    assert await house.states(step_id) == ["posted"]
    gate.set()
    await until_made(house, step_id, 100, 101, 102)
    assert await house.states(step_id) == ["enqueued"]
    assert posts(invokeai) == 1


async def test_an_effect_after_the_window_is_canceled_and_what_it_saved_is_filed(
    house: StudioHouse, invokeai: ScriptedInvokeAI
) -> None:
    gate = asyncio.Event()
    invokeai.cut_enqueue("late", gate)
    step_id = await house.create(MODEL, batch_size=2)
    await until_made(house, step_id, 100, 101)
    assert await house.states(step_id) == ["lost", "enqueued"]
    lost, _ = await house.batches(step_id)

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
    await until_made(house, step_id, 100, 100, 101)
    step = await house.step(step_id)
    assert {item.item_id: item.status for item in step.items if item.batch_id == lost["batch_id"]} == {
        first: "completed",
        second: "canceled",
    }
    assert posts(invokeai) == 2


async def test_a_late_effect_is_canceled_at_its_announcement(house: StudioHouse, invokeai: ScriptedInvokeAI) -> None:
    gate = asyncio.Event()
    invokeai.cut_enqueue("late", gate)
    step_id = await house.create(MODEL, batch_size=1)
    await house.until_status(step_id, "completed")
    held = invokeai.hold("denoise")
    gate.set()
    lost, _ = await house.batches(step_id)
    await invokeai.until(lambda: any(item.batch_id == lost["batch_id"] for item in invokeai.queue.items.values()))
    [item] = [item for item in invokeai.queue.items.values() if item.batch_id == lost["batch_id"]]
    await invokeai.until(lambda: item.status == "canceled")
    held.release()
    await house.until_status(step_id, "completed")


async def test_a_batch_finished_and_pruned_before_it_was_asked_for_is_known_by_its_image(
    house: StudioHouse, invokeai: ScriptedInvokeAI
) -> None:
    """Total 0 again, after it all happened (FACTS §10)."""
    invokeai.on("/b/.*/status$", answers.status(503), times=None)
    invokeai.drop_events()
    invokeai.cut_enqueue("during")
    step_id = await house.create(MODEL, batch_size=2)
    await invokeai.until(lambda: len(invokeai.queue.items) == 2)
    await invokeai.until_ended(*invokeai.queue.items)
    invokeai.queue.prune("default", None)
    invokeai._route_rules[0].remove()
    await house.until_states(step_id, "enqueued")
    assert posts(invokeai) == 1


async def test_a_batch_whose_first_items_were_pruned_before_it_was_asked_for_is_not_sent_again(
    house: StudioHouse, invokeai: ScriptedInvokeAI
) -> None:
    """Fewer than asked for are there, and not the first ones: a full queue would have taken those."""
    held = invokeai.hold("denoise", item_id=3)
    invokeai.on("/b/.*/status$", answers.status(503), times=None)
    invokeai.drop_events()
    invokeai.cut_enqueue("during")
    step_id = await house.create(MODEL, batch_size=4)
    await held.reached()
    invokeai.queue.prune("default", None)
    assert sorted(invokeai.queue.items) == [3, 4]
    invokeai._route_rules[0].remove()
    await house.until_states(step_id, "enqueued")
    held.release()
    await invokeai.until_ended(3, 4)
    assert posts(invokeai) == 1
    [batch] = await house.batches(step_id)
    assert (batch["enqueued"], batch["seeds"]) == (4, [100, 101, 102, 103])


async def test_a_refusal_is_the_steps_failure_in_invokeais_words(
    house: StudioHouse, invokeai: ScriptedInvokeAI
) -> None:
    invokeai.on(POST, answers.status(400, "queue is closed for the season"))
    step_id = await house.create(MODEL)
    step = await house.until_status(step_id, "failed")
    assert step.error_message == "queue is closed for the season"
    assert await house.states(step_id) == ["refused"]
    assert posts(invokeai) == 1


async def test_a_long_422_is_told_in_a_few_words(house: StudioHouse, invokeai: ScriptedInvokeAI) -> None:
    async def break_graph(request: Any, handler: Any) -> Any:
        detail = [{"type": "x", "loc": ["body", "batch"], "msg": "Input should be valid. " * 500, "input": {"a": 1}}]
        return json_answer({"detail": detail}, 422)

    invokeai.on(POST, break_graph)
    step_id = await house.create(MODEL)
    step = await house.until_status(step_id, "failed")
    assert step.error_message is not None
    assert step.error_message.startswith("body.batch: Input should be valid.")
    assert len(step.error_message) <= 500


async def test_a_model_invokeai_does_not_have_fails_with_a_reason_and_without_a_post(
    house: StudioHouse, invokeai: ScriptedInvokeAI
) -> None:
    step_id = await house.create({"key": "no-such-key", "hash": "no-such-hash"}, model_name="Dream 9")
    step = await house.until_status(step_id, "failed")
    assert step.error_message == "this InvokeAI has no model “Dream 9”"
    assert posts(invokeai) == 0


async def test_a_model_installed_a_moment_ago_is_found_by_asking(
    house: StudioHouse, invokeai: ScriptedInvokeAI
) -> None:
    async with house.database.connection() as connection:
        await connection.execute("DELETE FROM models")
    step_id = await house.create(MODEL)
    step = await house.until_status(step_id, "completed")
    assert step.model_name == MODEL["name"]


async def test_a_model_with_another_key_here_is_found_by_its_hash(
    house: StudioHouse, invokeai: ScriptedInvokeAI
) -> None:
    step_id = await house.create({"key": "its key elsewhere", "hash": MODEL["hash"]})
    await house.until_status(step_id, "completed")
    [item] = invokeai.queue.items.values()
    assert item.graph()["nodes"]["loader"]["model"]["key"] == MODEL["key"]


@pytest.mark.parametrize("answer", [answers.status(409, "maintenance"), answers.html()], ids=["409", "html"])
async def test_what_certainly_had_no_effect_is_sent_again_later(
    house: StudioHouse, invokeai: ScriptedInvokeAI, answer: Any
) -> None:
    invokeai.on(POST, answer)
    step_id = await house.create(MODEL)
    await house.until_status(step_id, "completed")
    assert await house.states(step_id) == ["enqueued"]
    assert posts(invokeai) == 2


async def test_a_refused_connection_leaves_the_step_pending_until_the_server_is_back(
    house: StudioHouse, invokeai: ScriptedInvokeAI
) -> None:
    await invokeai.refuse()
    step_id = await house.create(MODEL)

    async def unreachable() -> bool:
        connection = house.registry.get(house.backend_id)
        return connection is not None and connection.state != "connected"

    await eventually(unreachable)
    assert await house.states(step_id) == ["prepared"]
    assert (await house.step(step_id)).status == "pending"
    await invokeai.accept()
    await house.until_status(step_id, "completed")
    assert posts(invokeai) == 1


async def test_a_post_whose_connection_is_refused_is_prepared_again_and_sent_once(
    house: StudioHouse, invokeai: ScriptedInvokeAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The socket still stands: the listener alone is gone, as with a proxy that begins anew."""
    connection = house.registry.get(house.backend_id)
    assert connection is not None
    enqueue, refused = connection.client.enqueue_batch, asyncio.Event()

    async def refuse_once(body: dict[str, Any]) -> Any:
        if not refused.is_set():
            refused.set()
            async with aiohttp.ClientSession() as http:
                await InvokeClient("http://127.0.0.1:9", timeout=2, session=http).enqueue_batch(body)
        return await enqueue(body)

    monkeypatch.setattr(connection.client, "enqueue_batch", refuse_once)
    step_id = await house.create(MODEL)
    await refused.wait()
    await house.until_status(step_id, "completed")
    assert posts(invokeai) == 1
    assert await house.states(step_id) == ["enqueued"]


async def test_items_are_read_after_enqueuing_so_that_their_sessions_are_known_without_events(
    house: StudioHouse, invokeai: ScriptedInvokeAI
) -> None:
    invokeai.drop_events()
    held = invokeai.hold("denoise")
    step_id = await house.create(MODEL, batch_size=3)
    await held.reached()

    async def known() -> bool:
        rows = await house.fetch("SELECT invoke_session_id FROM queue_items WHERE step_id = $1", step_id)
        return len(rows) == 3 and all(row["invoke_session_id"] for row in rows)

    await eventually(known)
    held.release()


async def test_a_disabled_backend_gets_nothing_until_it_is_enabled_again(
    house: StudioHouse, invokeai: ScriptedInvokeAI
) -> None:
    async def enable(enabled: bool) -> None:
        async with house.database.connection() as connection:
            await connection.execute("UPDATE backends SET enabled = $1", enabled)
        await house.registry.reload()

    await enable(False)
    step_id = await house.create(MODEL)
    other_id = await house.create(MODEL)
    await house.cancel(other_id)
    assert (await house.step(other_id)).status == "canceled"
    assert await house.states(step_id) == ["prepared"]
    await enable(True)
    await house.until_status(step_id, "completed")
    assert posts(invokeai) == 1


async def test_an_answer_whose_commit_fails_is_found_by_asking(house: StudioHouse, invokeai: ScriptedInvokeAI) -> None:
    gate = asyncio.Event()
    out = invokeai.on(POST, answers.after(gate))
    async with house.database.transaction() as blocker:
        step_id = await house.create(MODEL, batch_size=2)
        await out.wait()
        await blocker.execute("SELECT FROM generation_steps WHERE id = $1 FOR UPDATE", step_id)
        gate.set()
        cut = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                  WHERE datname = current_database() AND wait_event_type = 'Lock' AND query ~ 'AS unwanted'"""

        async def connection_cut() -> bool:
            return bool(await house.fetch(cut))

        await eventually(connection_cut)
    await until_made(house, step_id, 100, 101)
    assert await house.states(step_id) == ["enqueued"]
    assert posts(invokeai) == 1


@pytest.mark.parametrize("version", ["5.15.0", "6.0.2", "6.9.0"])
@pytest.mark.parametrize("cut", [False, True], ids=["answered", "cut"])
async def test_older_servers_are_submitted_to_alike(
    database: Database, tmp_path: Path, version: str, cut: bool
) -> None:
    invokeai = ScriptedInvokeAI(tmp_path / "older", version=version)
    await invokeai.start()
    try:
        async with studio_house(database, invokeai) as house:
            if cut:
                invokeai.cut_enqueue("during")
            step_id = await house.create(MODEL, batch_size=2)
            await until_made(house, step_id, 100, 101)
            assert await house.states(step_id) == ["enqueued"]
            assert posts(invokeai) == 1
    finally:
        await invokeai.stop()
