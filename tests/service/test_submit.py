"""Submission against a scripted InvokeAI (idempotent submit): however a POST ends, nothing is made twice or lost."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from service.database.engine import Database
from service.demo.answers import json_answer
from service.invokeai.client import InvokeClient
from tests.fakes import ScriptedInvokeAI, answers
from tests.fakes.rows import add_backend, insert
from tests.fakes.studio_harness import MODEL, POST, StudioHarness, posts, studio_harness, until_made
from tests.fakes.waiting import eventually


async def test_a_batch_of_four_is_one_post_with_four_seeds_and_comes_back_as_four_alternatives(
    studio: StudioHarness, invokeai: ScriptedInvokeAI
) -> None:
    step_id = await studio.create(MODEL, batch_size=4)
    step = await studio.until_status(step_id, "completed", "failed")
    assert (step.status, step.error_message) == ("completed", None)
    await until_made(studio, step_id, 100, 101, 102, 103)
    assert [photo.created_at for photo in step.alternatives] == sorted(p.created_at for p in step.alternatives)
    assert [item.ordinal for item in step.items] == [0, 1, 2, 3]
    assert posts(invokeai) == 1
    assert step.submitted_at is not None
    [batch] = await studio.batches(step_id)
    assert (batch["state"], batch["enqueued"], batch["batch_id"]) == ("enqueued", 4, step.batch_id)
    item = invokeai.queue.items[step.items[0].item_id]
    assert (item.origin, item.destination, item.batch_id) == ("darkroom", f"step:{step_id}", batch["batch_id"])


async def test_the_step_is_pending_at_once_and_stays_so_while_the_post_is_out(
    studio: StudioHarness, invokeai: ScriptedInvokeAI
) -> None:
    gate = asyncio.Event()
    rule = invokeai.on(POST, answers.after(gate))
    step_id = await studio.create(MODEL)
    assert (await studio.step(step_id)).status == "pending"
    await rule.wait()
    assert (await studio.step(step_id)).status == "pending"
    assert await studio.states(step_id) == ["posted"]
    gate.set()
    await studio.until_status(step_id, "completed")


async def test_a_refusal_is_the_steps_failure_in_invokeais_words(
    studio: StudioHarness, invokeai: ScriptedInvokeAI
) -> None:
    invokeai.on(POST, answers.status(400, "queue is closed for the season"))
    step_id = await studio.create(MODEL)
    step = await studio.until_status(step_id, "failed")
    assert step.error_message == "queue is closed for the season"
    assert await studio.states(step_id) == ["refused"]
    assert posts(invokeai) == 1


async def test_a_refusal_in_words_no_database_can_hold_is_one_all_the_same(
    studio: StudioHarness, invokeai: ScriptedInvokeAI
) -> None:
    invokeai.on(POST, answers.body(b"no\0pe", "text/plain", 400))
    step_id = await studio.create(MODEL)
    step = await studio.until_status(step_id, "failed")
    assert step.error_message == "nope"
    assert posts(invokeai) == 1


async def test_a_long_422_is_told_in_a_few_words(studio: StudioHarness, invokeai: ScriptedInvokeAI) -> None:
    async def break_graph(request: Any, handler: Any) -> Any:
        detail = [{"type": "x", "loc": ["body", "batch"], "msg": "Input should be valid. " * 500, "input": {"a": 1}}]
        return json_answer({"detail": detail}, 422)

    invokeai.on(POST, break_graph)
    step_id = await studio.create(MODEL)
    step = await studio.until_status(step_id, "failed")
    assert step.error_message is not None
    assert step.error_message.startswith("body.batch: Input should be valid.")
    assert len(step.error_message) <= 500


async def test_a_model_invokeai_does_not_have_fails_with_a_reason_and_without_a_post(
    studio: StudioHarness, invokeai: ScriptedInvokeAI
) -> None:
    step_id = await studio.create({"key": "no-such-key", "hash": "no-such-hash"}, model_name="Dream 9")
    step = await studio.until_status(step_id, "failed")
    assert step.error_message == "this InvokeAI has no model “Dream 9”"
    assert posts(invokeai) == 0


@pytest.mark.parametrize("is_known", [False, True], ids=["unknown", "known from elsewhere"])
async def test_a_lora_invokeai_does_not_have_fails_with_a_reason_and_without_a_post(
    studio: StudioHarness, invokeai: ScriptedInvokeAI, is_known: bool
) -> None:
    if is_known:
        async with studio.database.connection() as connection:
            elsewhere = await add_backend(connection, enabled=False)
            lora = {"key": "far", "hash": "h", "name": "Ink", "base": "sd-1", "type": "lora"}
            await insert(connection, "models", backend_id=elsewhere, **lora)
    step_id = await studio.create(MODEL, parameters={"loras": [{"key": "far", "weight": 0.5}]})
    step = await studio.until_status(step_id, "failed")
    assert step.error_message == "this InvokeAI has no LoRA " + ("“Ink”" if is_known else "with the key far")
    assert posts(invokeai) == 0


async def test_a_model_installed_a_moment_ago_is_found_by_asking(
    studio: StudioHarness, invokeai: ScriptedInvokeAI
) -> None:
    async with studio.database.connection() as connection:
        await connection.execute("DELETE FROM models")
    step_id = await studio.create(MODEL)
    step = await studio.until_status(step_id, "completed")
    assert step.model_name == MODEL["name"]


async def test_a_model_with_another_key_here_is_found_by_its_hash(
    studio: StudioHarness, invokeai: ScriptedInvokeAI
) -> None:
    step_id = await studio.create({"key": "its key elsewhere", "hash": MODEL["hash"]})
    await studio.until_status(step_id, "completed")
    [item] = invokeai.queue.items.values()
    assert item.graph()["nodes"]["loader"]["model"]["key"] == MODEL["key"]


@pytest.mark.parametrize("answer", [answers.status(409, "maintenance"), answers.html()], ids=["409", "html"])
async def test_what_certainly_had_no_effect_is_sent_again_later(
    studio: StudioHarness, invokeai: ScriptedInvokeAI, answer: Any
) -> None:
    invokeai.on(POST, answer)
    step_id = await studio.create(MODEL)
    await studio.until_status(step_id, "completed")
    assert await studio.states(step_id) == ["enqueued"]
    assert posts(invokeai) == 2


async def test_a_refused_connection_leaves_the_step_pending_until_the_server_is_back(
    studio: StudioHarness, invokeai: ScriptedInvokeAI
) -> None:
    await invokeai.refuse()
    step_id = await studio.create(MODEL)

    async def unreachable() -> bool:
        connection = studio.registry.get(studio.backend_id)
        return connection is not None and connection.state != "connected"

    await eventually(unreachable)
    assert await studio.states(step_id) == ["prepared"]
    assert (await studio.step(step_id)).status == "pending"
    await invokeai.accept()
    await studio.until_status(step_id, "completed")
    assert posts(invokeai) == 1


async def test_a_post_whose_connection_is_refused_is_prepared_again_and_sent_once(
    studio: StudioHarness, invokeai: ScriptedInvokeAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The socket still stands: the listener alone is gone, as with a proxy that begins anew."""
    connection = studio.registry.get(studio.backend_id)
    assert connection is not None
    enqueue, refused = connection.client.enqueue_batch, asyncio.Event()

    async def refuse_once(body: dict[str, Any]) -> Any:
        if not refused.is_set():
            refused.set()
            async with aiohttp.ClientSession() as http:
                await InvokeClient("http://127.0.0.1:9", timeout=2, session=http).enqueue_batch(body)
        return await enqueue(body)

    monkeypatch.setattr(connection.client, "enqueue_batch", refuse_once)
    step_id = await studio.create(MODEL)
    await refused.wait()
    await studio.until_status(step_id, "completed")
    assert posts(invokeai) == 1
    assert await studio.states(step_id) == ["enqueued"]


async def test_items_are_read_after_enqueuing_so_that_their_sessions_are_known_without_events(
    studio: StudioHarness, invokeai: ScriptedInvokeAI
) -> None:
    invokeai.drop_events()
    held = invokeai.hold("denoise")
    step_id = await studio.create(MODEL, batch_size=3)
    await held.reached()

    async def known() -> bool:
        rows = await studio.fetch("SELECT invoke_session_id FROM queue_items WHERE step_id = $1", step_id)
        return len(rows) == 3 and all(row["invoke_session_id"] for row in rows)

    await eventually(known)
    held.release()


async def test_a_disabled_backend_gets_nothing_until_it_is_enabled_again(
    studio: StudioHarness, invokeai: ScriptedInvokeAI
) -> None:
    async def enable(enabled: bool) -> None:
        async with studio.database.connection() as connection:
            await connection.execute("UPDATE backends SET enabled = $1", enabled)
        await studio.registry.reload()

    await enable(False)
    step_id = await studio.create(MODEL)
    other_id = await studio.create(MODEL)
    await studio.cancel(other_id)
    assert (await studio.step(other_id)).status == "canceled"
    assert await studio.states(step_id) == ["prepared"]
    await enable(True)
    await studio.until_status(step_id, "completed")
    assert posts(invokeai) == 1


@pytest.mark.parametrize("version", ["5.15.0", "6.0.2", "6.9.0"])
@pytest.mark.parametrize("cut", [False, True], ids=["answered", "cut"])
async def test_older_servers_are_submitted_to_alike(
    database: Database, tmp_path: Path, version: str, cut: bool
) -> None:
    invokeai = ScriptedInvokeAI(tmp_path / "older", version=version)
    await invokeai.start()
    try:
        async with studio_harness(database, invokeai) as studio:
            if cut:
                invokeai.cut_enqueue("during")
            step_id = await studio.create(MODEL, batch_size=2)
            await until_made(studio, step_id, 100, 101)
            assert await studio.states(step_id) == ["enqueued"]
            assert posts(invokeai) == 1
    finally:
        await invokeai.stop()
