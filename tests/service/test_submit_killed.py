"""kill -9 of Darkroom around a POST: what was sent is found again, and never sent twice (idempotent submit)."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any
from uuid import UUID

from service.database.engine import Database
from tests.fakes import ScriptedInvokeAI, answers, submitter_process
from tests.fakes.forked import Forked, forked
from tests.fakes.studio_harness import MODEL, POST, StudioHarness, posts, studio_harness, until_made
from tests.fakes.waiting import eventually


def darkroom(database_url: str, folder: Path, mode: str = "") -> AbstractAsyncContextManager[Forked]:
    """Another Darkroom, killed at the end."""
    return forked(submitter_process.main, database_url, folder, mode)


async def prepared_step(database: Database, invokeai: ScriptedInvokeAI) -> UUID:
    """A step of two that no submitter has seen yet."""
    async with studio_harness(database, invokeai) as studio:
        await studio.supervisor.stop("studio")
        return await studio.create(MODEL, batch_size=2)


async def assert_one_batch_made(studio: StudioHarness, invokeai: ScriptedInvokeAI, step_id: UUID) -> None:
    await until_made(studio, step_id, 100, 101)
    assert await studio.states(step_id) == ["enqueued"]
    assert posts(invokeai) == 1
    assert len(invokeai.queue.items) == 2


async def test_killed_before_sending_the_batch_is_lost_after_the_window_and_made_once(
    database: Database, database_url: str, invokeai: ScriptedInvokeAI
) -> None:
    step_id = await prepared_step(database, invokeai)
    async with darkroom(database_url, invokeai.folder.parent / "data", "unsent") as process:
        await process.until_line("posted")
    async with studio_harness(database, invokeai) as studio:
        assert await studio.states(step_id) == ["posted"]
        await until_made(studio, step_id, 100, 101)
        assert await studio.states(step_id) == ["lost", "enqueued"]
    assert posts(invokeai) == 1


async def test_killed_while_the_post_is_out_its_effect_is_found(
    database: Database, database_url: str, invokeai: ScriptedInvokeAI
) -> None:
    step_id = await prepared_step(database, invokeai)
    arrived, gate = asyncio.Event(), asyncio.Event()

    async def slow(request: Any, handler: Any) -> Any:
        await request.read()
        arrived.set()
        await gate.wait()
        return await handler(request)

    invokeai.on(POST, slow)
    async with darkroom(database_url, invokeai.folder.parent / "data"), asyncio.timeout(20):
        await arrived.wait()
    gate.set()
    async with studio_harness(database, invokeai) as studio:
        await assert_one_batch_made(studio, invokeai, step_id)


async def test_killed_between_the_answer_and_its_commit_the_batch_is_found(
    database: Database, database_url: str, invokeai: ScriptedInvokeAI
) -> None:
    step_id = await prepared_step(database, invokeai)
    gate = asyncio.Event()
    out = invokeai.on(POST, answers.after(gate))
    async with database.transaction() as blocker, darkroom(database_url, invokeai.folder.parent / "data"):
        await out.wait(seconds=20)
        await blocker.execute("SELECT FROM generation_steps WHERE id = $1 FOR UPDATE", step_id)
        gate.set()

        async def answered_and_waiting() -> bool:
            waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~ 'unwanted'"
            async with database.connection() as connection:
                return bool(invokeai.queue.items) and bool(await connection.fetchval(waiting))

        await eventually(answered_and_waiting)
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT state FROM step_batches") == "posted"
    async with studio_harness(database, invokeai) as studio:
        await assert_one_batch_made(studio, invokeai, step_id)


async def test_killed_in_the_middle_of_a_batch_everything_comes_home(
    database: Database, database_url: str, invokeai: ScriptedInvokeAI
) -> None:
    step_id = await prepared_step(database, invokeai)
    held = invokeai.hold("denoise", item_id=2)
    async with darkroom(database_url, invokeai.folder.parent / "data"):
        await held.reached(seconds=20)
    held.release()
    await invokeai.until_ended(1, 2)
    async with studio_harness(database, invokeai) as studio:
        await assert_one_batch_made(studio, invokeai, step_id)


async def test_killed_in_doubt_it_goes_on_asking(
    database: Database, database_url: str, invokeai: ScriptedInvokeAI
) -> None:
    step_id = await prepared_step(database, invokeai)
    gate = asyncio.Event()
    invokeai.cut_enqueue("late", gate)
    async with darkroom(database_url, invokeai.folder.parent / "data"):
        await invokeai.until(lambda: any("/b/" in path for _, path in invokeai.requests), seconds=20)
    async with studio_harness(database, invokeai) as studio:
        assert await studio.states(step_id) == ["posted"]
        gate.set()
        await assert_one_batch_made(studio, invokeai, step_id)
