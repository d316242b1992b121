"""The scripted InvokeAI as an older server: without the routes and fields that came later (FACTS §11)."""

from __future__ import annotations

import aiohttp
import pytest

from tests.fakes import ScriptedInvokeAI, batches
from tests.fakes.listener import Listener

QUEUE = "/api/v1/queue/default"


@pytest.mark.parametrize(
    ("version", "missing", "has_list"),
    [
        ("5.15.0", {"item_ids", "items_by_ids", "item_summaries_by_ids", "list_all", "images_by_names"}, True),
        ("6.0.2", {"item_ids", "items_by_ids", "item_summaries_by_ids"}, True),
        ("6.9.0", {"item_summaries_by_ids"}, False),
    ],
)
async def test_an_older_version_lacks_its_routes_and_fields(tmp_path, version, missing, has_list):
    server = ScriptedInvokeAI(tmp_path, version=version)
    await server.start()
    try:
        async with aiohttp.ClientSession(server.url) as http, Listener(server.url) as listener:
            async with http.get("/api/v1/app/version") as response:
                assert (await response.json())["version"] == version
            async with http.get("/openapi.json") as response:
                paths = (await response.json())["paths"]
            last_parts = {path.rsplit("/", 1)[-1] for path in paths}
            assert not missing & last_parts
            assert ("list" in last_parts) is has_list
            assert "/api/v1/auth/status" not in paths
            async with http.post(f"{QUEUE}/item_summaries_by_ids", json={"item_ids": []}) as response:
                assert response.status == 405
            async with http.post(f"{QUEUE}/enqueue_batch", json=batches.batch(batches.blank())) as response:
                answer = await response.json()
            assert ("item_ids" in answer) is (version != "5.15.0")
            await listener.until_ended(1)
            for _, payload in listener.events:
                assert not {"status_sequence", "user_id", "device"} & payload.keys()
            async with http.get(f"{QUEUE}/i/1") as response:
                item = await response.json()
            assert item["status"] == "completed"
            assert "status_sequence" not in item
    finally:
        await server.stop()


async def test_the_cursor_pages_of_an_old_version_hold_every_item_once(tmp_path):
    server = ScriptedInvokeAI(tmp_path, version="5.15.0")
    await server.start()
    body = batches.batch(batches.blank())
    body["batch"]["runs"] = 5
    await server.enqueue(body)
    seen, cursor, more = [], 0, True
    async with aiohttp.ClientSession(server.url) as http:
        while more:
            async with http.get(f"{QUEUE}/list?limit=2&cursor={cursor}") as response:
                page = await response.json()
            seen += [item["item_id"] for item in page["items"]]
            cursor, more = seen[-1], page["has_more"]
    await server.stop()
    assert seen == [1, 2, 3, 4, 5]
