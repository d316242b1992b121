"""What the owner says of images that InvokeAI does not know: that they were deleted there, and that this was seen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from service.database.engine import Connection
from tests.fakes import ScriptedInvokeAI, answers
from tests.fakes.darkroom import Darkroom, running, settings_for
from tests.fakes.rows import add_photo


@pytest.fixture
async def darkroom(tmp_path: Path, database_url: str, invokeai: ScriptedInvokeAI) -> AsyncIterator[Darkroom]:
    async with running(settings_for(tmp_path / "data", database_url, invokeai_url=invokeai.url)) as darkroom:
        await until(darkroom, lambda backend: backend["state"] == "connected")
        yield darkroom


async def backend_of(darkroom: Darkroom) -> dict[str, Any]:
    async with darkroom.http.get("/api/v1/backends") as response:
        [backend] = (await response.json())["items"]
    return dict(backend)


async def until(darkroom: Darkroom, met: Any) -> dict[str, Any]:
    async with asyncio.timeout(20):
        while not met(backend := await backend_of(darkroom)):
            await asyncio.sleep(0.05)
    return backend


async def add_deleted(connection: Connection, darkroom: Darkroom) -> UUID:
    """A photo that waits for an image that was deleted there."""
    photo = await add_photo(connection, home=False, backend_id=UUID((await backend_of(darkroom))["id"]))
    darkroom.app.state["retrieval"].wake()
    return photo


async def say(darkroom: Darkroom, what: str, status: int = 200, backend: str | None = None) -> Any:
    identity = backend or (await backend_of(darkroom))["id"]
    async with darkroom.http.post(f"/api/v1/backends/{identity}/{what}") as response:
        body = await response.json()
    assert response.status == status, body
    return body


def codes(backend: dict[str, Any]) -> set[str]:
    return {trouble["code"] for trouble in backend["troubles"]}


async def test_what_the_owner_confirms_counts_as_home_and_is_shown_until_it_was_seen(
    darkroom: Darkroom, connection: Connection
) -> None:
    await add_deleted(connection, darkroom)
    await until(darkroom, lambda backend: "images_missing" in codes(backend))
    assert not (await backend_of(darkroom))["ledger"]["home"]
    async with darkroom.feed() as feed:
        backend = await say(darkroom, "confirm-gone")
        await feed.until(lambda message: message["type"] == "photo.failed")
    assert (backend["ledger"]["gone"], backend["ledger"]["waiting"]) == (1, 0)
    assert codes(backend) == {"images_gone"}
    [trouble] = backend["troubles"]
    assert trouble["words"] == "1 image was deleted in InvokeAI before it came home."
    await until(darkroom, lambda backend: backend["ledger"]["home"])
    for _ in range(2):
        assert codes(await say(darkroom, "seen")) == set()
    for _ in range(2):
        await add_deleted(connection, darkroom)
    [trouble] = (await say(darkroom, "confirm-gone"))["troubles"]
    assert trouble["words"].startswith("2 images were")
    await connection.execute("UPDATE photos SET deleted_at = now()")
    assert codes(await backend_of(darkroom)) == set(), "what was thrown away was seen"


async def test_it_is_shown_after_a_restart(tmp_path: Path, database_url: str, connection: Connection) -> None:
    for _ in range(2):
        async with running(settings_for(tmp_path, database_url)) as darkroom:
            if not await connection.fetchval("SELECT count(*) FROM photos"):
                photo = await add_deleted(connection, darkroom)
                await connection.execute(
                    "UPDATE photos SET retrieval_status = 'gone', next_retrieval_attempt = NULL WHERE id = $1", photo
                )
            assert codes(await backend_of(darkroom)) >= {"images_gone"}


async def test_nothing_is_confirmed_of_a_server_that_cannot_be_asked(
    darkroom: Darkroom, connection: Connection, invokeai: ScriptedInvokeAI
) -> None:
    photo = await add_deleted(connection, darkroom)
    invokeai.on("/app/version$", answers.status(404, "Not Found"), times=None)
    await say(darkroom, "confirm-gone", 409)
    await invokeai.refuse()
    await until(darkroom, lambda backend: backend["state"] != "connected")
    await say(darkroom, "confirm-gone", 409)
    status = await connection.fetchval("SELECT retrieval_status FROM photos WHERE id = $1", photo)
    assert status in ("pending", "retrieving")


async def test_a_server_that_does_not_exist_is_404(darkroom: Darkroom) -> None:
    for what in ("confirm-gone", "seen"):
        await say(darkroom, what, 404, str(uuid4()))
