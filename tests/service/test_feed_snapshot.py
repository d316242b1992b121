"""The feed's snapshot by REST, for a browser that polls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.darkroom import Darkroom, running, settings_for

SNAPSHOT = "/api/v1/feed/snapshot"


@pytest.fixture
async def darkroom(tmp_path: Path, database_url: str) -> AsyncIterator[Darkroom]:
    async with running(settings_for(tmp_path, database_url)) as darkroom:
        yield darkroom


async def snapshot(darkroom: Darkroom) -> dict[str, Any]:
    async with darkroom.http.get(SNAPSHOT) as response:
        assert response.status == 200
        assert response.headers["cache-control"] == "no-store"
        message: dict[str, Any] = await response.json()
        return message


async def test_it_is_the_message_that_opens_the_feed(darkroom: Darkroom) -> None:
    async with darkroom.feed() as feed:
        hello = await feed.next()
        polled = await snapshot(darkroom)
    assert polled.keys() == hello.keys() == {"type", "seq", "data"}
    assert (polled["type"], polled["seq"]) == ("hello", hello["seq"])
    assert polled["data"].keys() == hello["data"].keys()
    assert polled["data"]["epoch"] == hello["data"]["epoch"]


async def test_its_seq_rises_with_what_changes_though_no_websocket_is_open(darkroom: Darkroom) -> None:
    before = (await snapshot(darkroom))["seq"]
    async with darkroom.http.post("/api/v1/sessions", json={"name": "Hills"}) as response:
        assert response.status == 201
    async with asyncio.timeout(10):
        while (await snapshot(darkroom))["seq"] == before:
            await asyncio.sleep(0.02)


async def test_it_wants_the_password(tmp_path: Path, database_url: str) -> None:
    async with running(settings_for(tmp_path, database_url, password="correct horse")) as darkroom:
        async with darkroom.http.get(SNAPSHOT) as response:
            assert response.status == 401
            assert (await response.json())["error"]["code"] == "unauthorized"
        async with darkroom.http.get(SNAPSHOT, headers={"Authorization": "Bearer correct horse"}) as response:
            assert response.status == 200


async def test_each_json_answer_says_where_the_feed_stood_before_it_was_read(darkroom: Darkroom) -> None:
    message = await snapshot(darkroom)
    before = f"{message['data']['epoch']}:{message['seq']}"
    async with darkroom.http.get("/api/v1/photos") as response:
        assert response.headers["darkroom-feed"] == before
    async with darkroom.http.post("/api/v1/sessions", json={"name": "Hills"}) as response:
        assert "darkroom-feed" not in response.headers
    async with asyncio.timeout(10):
        while (message := await snapshot(darkroom))["seq"] == int(before.split(":")[1]):
            await asyncio.sleep(0.02)
    async with darkroom.http.get("/api/v1/sessions") as response:
        assert response.headers["darkroom-feed"] == f"{message['data']['epoch']}:{message['seq']}"
