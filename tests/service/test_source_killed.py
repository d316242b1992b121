"""kill -9 of Darkroom around the upload of a source: it is sent once, and so is the batch (source is a photo)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from service.database.engine import Database
from tests.fakes import ScriptedInvokeAI, answers
from tests.fakes.studio_harness import MODEL, POST, StudioHarness, posts, studio_harness, until_made
from tests.fakes.upload_files import quarters, saved
from tests.fakes.waiting import eventually
from tests.service.test_submit_killed import darkroom

UPLOAD = "/images/upload$"
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~ $1"


async def step_with_source(database: Database, invokeai: ScriptedInvokeAI) -> UUID:
    """A step of two that no submitter has seen yet."""
    async with studio_harness(database, invokeai) as studio:
        await studio.supervisor.stop("studio")
        photo = await studio.keep_photo(saved(quarters(), ".png"))
        return await studio.create(MODEL, source_photo_id=photo, batch_size=2)


def folder(invokeai: ScriptedInvokeAI) -> Path:
    return invokeai.folder.parent / "data"


def sent(invokeai: ScriptedInvokeAI) -> int:
    return sum("/images/upload" in path for _, path in invokeai.requests)


async def assert_made_of_one_upload(studio: StudioHarness, invokeai: ScriptedInvokeAI, step_id: UUID) -> None:
    await until_made(studio, step_id, 100, 101)
    assert (await studio.states(step_id))[-1] == "enqueued"
    assert posts(invokeai) == 1
    assert len(invokeai.queue.items) == 2
    [image] = invokeai.images.select(categories=("user",))
    assert sent(invokeai) == 1
    assert invokeai.queue.items[1].graph()["nodes"]["metadata"]["init_image"] == image.image_name
    assert await studio.fetch("SELECT FROM source_uploads") == []


async def blocked(database: Database, query: str) -> None:
    """Until the other Darkroom waits inside of that statement."""

    async def waits() -> bool:
        async with database.connection() as connection:
            return bool(await connection.fetchval(WAITING, query))

    await eventually(waits)


async def test_killed_before_the_source_is_sent_it_is_sent_after_the_window(
    database: Database, database_url: str, invokeai: ScriptedInvokeAI
) -> None:
    step_id = await step_with_source(database, invokeai)
    async with darkroom(database_url, folder(invokeai), "unsent-upload") as process:
        await process.until_line("posted")
    async with studio_harness(database, invokeai) as studio:
        assert await studio.states(step_id) == ["waiting"]
        assert len(await studio.fetch("SELECT FROM source_uploads")) == 1
        await assert_made_of_one_upload(studio, invokeai, step_id)


async def test_killed_while_the_upload_is_out_its_effect_is_found(
    database: Database, database_url: str, invokeai: ScriptedInvokeAI
) -> None:
    step_id = await step_with_source(database, invokeai)
    arrived, gate = asyncio.Event(), asyncio.Event()

    async def slow(request: Any, handler: Any) -> Any:
        await request.post()
        arrived.set()
        await gate.wait()
        return await handler(request)

    invokeai.on(UPLOAD, slow)
    async with darkroom(database_url, folder(invokeai)), asyncio.timeout(20):
        await arrived.wait()
    gate.set()
    async with studio_harness(database, invokeai) as studio:
        await assert_made_of_one_upload(studio, invokeai, step_id)


async def test_killed_between_the_answer_and_its_commit_the_upload_is_found(
    database: Database, database_url: str, invokeai: ScriptedInvokeAI
) -> None:
    step_id = await step_with_source(database, invokeai)
    gate = asyncio.Event()
    out = invokeai.on(UPLOAD, answers.after(gate))
    async with database.transaction() as blocker, darkroom(database_url, folder(invokeai)):
        await out.wait(seconds=20)
        await blocker.execute("LOCK TABLE backend_uploads IN EXCLUSIVE MODE")
        gate.set()
        await blocked(database, "INSERT INTO backend_uploads")
    async with studio_harness(database, invokeai) as studio:
        await assert_made_of_one_upload(studio, invokeai, step_id)


async def test_killed_when_the_source_is_there_and_its_batch_still_waits(
    database: Database, database_url: str, invokeai: ScriptedInvokeAI
) -> None:
    step_id = await step_with_source(database, invokeai)
    gate = asyncio.Event()
    out = invokeai.on(UPLOAD, answers.after(gate))
    async with database.transaction() as blocker, darkroom(database_url, folder(invokeai)):
        await out.wait(seconds=20)
        await blocker.execute("SELECT FROM generation_steps WHERE id = $1 FOR UPDATE", step_id)
        gate.set()
        await blocked(database, "unwanted")
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM backend_uploads") == 1
        assert await connection.fetchval("SELECT state FROM step_batches") == "waiting"
    async with studio_harness(database, invokeai) as studio:
        await assert_made_of_one_upload(studio, invokeai, step_id)


@pytest.mark.parametrize("is_deleted_there", [False, True], ids=["source there", "source deleted since"])
async def test_killed_before_the_batch_is_sent_it_is_made_anew_from_the_same_source(
    database: Database, database_url: str, invokeai: ScriptedInvokeAI, is_deleted_there: bool
) -> None:
    step_id = await step_with_source(database, invokeai)
    async with darkroom(database_url, folder(invokeai), "unsent") as process:
        await process.until_line("posted")
    if is_deleted_there:
        [image] = invokeai.images.select(categories=("user",))
        invokeai.images.remove([image.image_name])
        invokeai.requests.clear()
    async with studio_harness(database, invokeai) as studio:
        assert await studio.states(step_id) == ["posted"]
        await assert_made_of_one_upload(studio, invokeai, step_id)
        assert await studio.states(step_id) == ["lost", "enqueued"]


async def test_killed_while_the_batch_is_out_it_is_found_and_its_source_is_not_sent_again(
    database: Database, database_url: str, invokeai: ScriptedInvokeAI
) -> None:
    step_id = await step_with_source(database, invokeai)
    arrived, gate = asyncio.Event(), asyncio.Event()

    async def slow(request: Any, handler: Any) -> Any:
        await request.read()
        arrived.set()
        await gate.wait()
        return await handler(request)

    invokeai.on(POST, slow)
    async with darkroom(database_url, folder(invokeai)), asyncio.timeout(20):
        await arrived.wait()
    gate.set()
    async with studio_harness(database, invokeai) as studio:
        await assert_made_of_one_upload(studio, invokeai, step_id)
