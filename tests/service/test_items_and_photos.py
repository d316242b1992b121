"""Which item made which photo is told with the item, and an image's metadata are read once on their way."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import batches
from tests.fakes.darkroom import Darkroom, running, settings_for
from tests.fakes.scripted import ScriptedInvokeAI


@pytest.fixture
async def invokeai(tmp_path: Path) -> AsyncIterator[ScriptedInvokeAI]:
    server = ScriptedInvokeAI(tmp_path / "invokeai")
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def darkroom(tmp_path: Path, database_url: str, invokeai: ScriptedInvokeAI) -> AsyncIterator[Darkroom]:
    settings = settings_for(tmp_path, database_url, invokeai_url=f"http://{invokeai.host}:{invokeai.port}")
    async with running(settings) as darkroom:
        yield darkroom


async def answer(darkroom: Darkroom, path: str) -> Any:
    async with darkroom.http.get(f"/api/v1{path}") as response:
        assert response.status == 200, await response.text()
        return await response.json()


def is_connected(message: dict[str, Any]) -> bool:
    backends = message["data"].get("backends", [message["data"]])
    return any(backend.get("state") == "connected" for backend in backends)


async def test_an_item_names_its_photo_before_the_photo_is_told(darkroom: Darkroom, invokeai: ScriptedInvokeAI) -> None:
    """Also an item of other people's, of which no table has a row."""
    async with darkroom.feed() as feed:
        await feed.until(is_connected)
        [item_id] = (await invokeai.enqueue(batches.batch(batches.blank(), origin="webui")))["item_ids"]
        added = await feed.until(lambda message: message["type"] == "photo.added")
        told = [message["data"] for message in feed.messages if message["type"] == "item.updated"]
        assert {item["item_id"] for item in told} == {item_id}
        assert told[-1]["photo_ids"] == [added["data"]["id"]]
        assert all(item["photo_ids"] == [] for item in told[:-1] if item["status"] == "pending")


async def test_a_snapshot_has_the_photos_of_live_items(darkroom: Darkroom, invokeai: ScriptedInvokeAI) -> None:
    """A first node has saved its image, while a second one holds the item."""
    async with darkroom.feed() as feed:
        await feed.until(is_connected)
        graph = batches.several_images(2)
        hold = invokeai.hold(list(graph["nodes"])[-1])
        await invokeai.enqueue(batches.batch(graph, origin="webui"))
        await hold.reached()
        added = await feed.until(lambda message: message["type"] == "photo.added")
        [item] = (await answer(darkroom, "/feed/snapshot"))["data"]["items"]
        assert added["data"]["id"] in item["photo_ids"]
        hold.release()


async def test_metadata_of_a_mirrored_image_are_read_once(darkroom: Darkroom, invokeai: ScriptedInvokeAI) -> None:
    async with darkroom.feed() as feed:
        await feed.until(is_connected)
        image = invokeai.add_canvas_save(metadata={"positive_prompt": "a lighthouse"})
        async with darkroom.http.get("/api/v1/backends") as response:
            [backend] = (await response.json())["items"]
        async with darkroom.http.post(f"/api/v1/backends/{backend['id']}/look") as response:
            assert response.status < 300
        ready = await feed.until(lambda message: message["type"] == "photo.ready")
    assert ready["data"]["generation_prompt"] == "a lighthouse"
    path = f"/{image.image_name}/metadata"
    assert [request for request in invokeai.requests if request[1].endswith(path)] == [
        ("GET", f"/api/v1/images/i{path}")
    ]
