"""The feed over real sockets (api.md, The feed)."""

from __future__ import annotations

import asyncio
import json
import socket as sockets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from service.api.resources import Removed
from service.bus.bus import Bus
from service.bus.previews import JPEG_MAGIC, Previews, preview_url
from service.live import routes as feed_routes
from service.live.hub import BACKLOG, Hub
from service.media.identity import new_id
from service.web import server as serving
from tests.fakes.darkroom import Darkroom, Feed, running, settings_for

PASSING = {"item.progress", "backend.status", "queue.status", "ledger"}


@pytest.fixture
async def darkroom(tmp_path: Path, database_url: str) -> AsyncIterator[Darkroom]:
    async with running(settings_for(tmp_path, database_url)) as darkroom:
        yield darkroom


def hub_of(darkroom: Darkroom) -> Hub:
    hub: Hub = darkroom.app.state["hub"]
    return hub


async def test_hello_comes_first_with_the_whole_snapshot(darkroom: Darkroom) -> None:
    async with darkroom.feed() as feed:
        hello = await feed.next()
    assert (hello["type"], hello["seq"]) == ("hello", hub_of(darkroom).seq)
    assert set(hello["data"]) == {"epoch", "version", "backends", "steps", "items", "ledger"}
    assert hello["data"]["epoch"] == hub_of(darkroom).epoch
    async with darkroom.http.get("/api/v1/backends") as response:
        listed = (await response.json())["items"]
    assert [backend["id"] for backend in hello["data"]["backends"]] == [backend["id"] for backend in listed]
    assert set(hello["data"]["ledger"]) == {"total", "backends"}


async def test_each_start_has_another_epoch(tmp_path: Path, database_url: str) -> None:
    epochs = set()
    for _ in range(2):
        async with running(settings_for(tmp_path, database_url)) as darkroom, darkroom.feed() as feed:
            epochs.add((await feed.next())["data"]["epoch"])
    assert len(epochs) == 2


async def test_a_change_reaches_every_browser_as_the_rest_resource_with_seq_one_higher(darkroom: Darkroom) -> None:
    async with darkroom.feed() as first, darkroom.feed() as second:
        begin = (await first.next())["seq"]
        await second.next()
        async with darkroom.http.post("/api/v1/sessions", json={"name": "Hills"}) as response:
            created = await response.json()
        told = [await feed.until(lambda message: message["type"] == "session.updated") for feed in (first, second)]
    assert told[0] == told[1]
    assert told[0]["seq"] == begin + 1
    assert {key: created[key] for key in told[0]["data"]} == told[0]["data"]


async def test_nothing_falls_between_snapshot_and_stream(darkroom: Darkroom) -> None:
    async def publish() -> None:
        while True:
            hub_of(darkroom).publish("photo.removed", Removed(id=new_id()))
            await asyncio.sleep(0.001)

    publishing = asyncio.create_task(publish())
    try:
        for _ in range(5):
            async with darkroom.feed() as feed:
                seq = (await feed.next())["seq"]
                following = await feed.until(lambda message: message["type"] not in PASSING)
                assert following["seq"] > seq
                if following["seq"] != seq + 1:
                    # More came during the snapshot than a backlog holds: that shows as a gap, and not as silence. The
                    # passing messages of one server may have some of its places.
                    assert following["seq"] - seq > BACKLOG - 8
    finally:
        publishing.cancel()


async def test_what_a_browser_says_is_ignored(darkroom: Darkroom) -> None:
    async with darkroom.feed() as feed:
        await feed.next()
        for number in range(500):
            await feed.socket.send("x" * 1000 if number % 2 else b"\0" * 1000)
        hub_of(darkroom).publish("photo.removed", Removed(id=new_id()))
        assert (await feed.until(lambda message: message["type"] == "photo.removed"))["seq"] == 1


async def test_many_browsers_come_and_go_and_nothing_of_them_stays(darkroom: Darkroom) -> None:
    hub = hub_of(darkroom)
    feeds = [darkroom.feed() for _ in range(20)]
    await asyncio.gather(*(feed.__aenter__() for feed in feeds))
    await asyncio.gather(*(feed.next() for feed in feeds))
    assert hub.client_count == 20
    for feed in feeds[:10]:
        feed.socket.transport.abort()
    await asyncio.gather(*(feed.socket.close() for feed in feeds[10:]))
    async with asyncio.timeout(10):
        while hub.client_count:
            await asyncio.sleep(0.01)
    names = {task.get_name() for task in asyncio.all_tasks()}
    assert "feed writer" not in names


async def _asleep(darkroom: Darkroom, buffer: int = 4096) -> sockets.socket:
    """A browser that completes the handshake and then never reads; its kernel buffer is small."""
    asleep = sockets.socket()
    asleep.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, buffer)
    asleep.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(asleep, ("127.0.0.1", darkroom.port))
    request = (
        f"GET /api/v1/feed HTTP/1.1\r\nHost: 127.0.0.1:{darkroom.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    await loop.sock_sendall(asleep, request.encode())
    return asleep


async def _read_all(asleep: sockets.socket) -> bytes:
    loop = asyncio.get_running_loop()
    received = bytearray()
    async with asyncio.timeout(20):
        while piece := await loop.sock_recv(asleep, 2**20):
            received += piece
    return bytes(received)


async def test_a_browser_that_stops_reading_is_closed_with_4408_and_holds_nobody_up(
    darkroom: Darkroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert feed_routes.SEND_TIMEOUT == 10
    monkeypatch.setattr(feed_routes, "SEND_TIMEOUT", 1.0)
    monkeypatch.setattr(serving, "LAST_WORDS_SECONDS", 2.0)
    hub = hub_of(darkroom)
    asleep = await _asleep(darkroom)
    async with darkroom.feed() as awake:
        await awake.next()
        async with asyncio.timeout(10):
            while hub.client_count < 2:
                await asyncio.sleep(0.01)
        async with asyncio.timeout(30):
            while hub.client_count > 1:
                for _ in range(20):
                    hub.publish("photo.removed", fat_message())
                while (await awake.next())["seq"] < hub.seq:
                    continue
        assert [m["seq"] for m in awake.messages if m["type"] not in PASSING] == list(range(hub.seq + 1))
    tail = await _read_all(asleep)
    assert tail.endswith(b"\x88\x02\x11\x38"), "a close frame with code 4408 is the last it is sent"
    asleep.close()


async def test_a_browser_that_answers_no_ping_is_closed_with_4408_though_nothing_is_sent(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "PING_SECONDS", 0.2)
    monkeypatch.setattr(serving, "PONG_SECONDS", 0.5)
    monkeypatch.setattr(serving, "LAST_WORDS_SECONDS", 0.5)
    async with running(settings_for(tmp_path, database_url)) as darkroom:
        asleep = await _asleep(darkroom)
        async with darkroom.feed() as awake:
            await awake.next()
            tail = await _read_all(asleep)
            assert tail.startswith(b"HTTP/1.1 101")
            assert b"\x88" in tail
            assert b"\x11\x38no answer to a ping" in tail
            asleep.close()
            hub_of(darkroom).publish("photo.removed", Removed(id=new_id()))
            await awake.until(lambda message: message["type"] == "photo.removed")


def fat_message() -> Any:
    """Far larger than any real one, so that buffers fill soon."""
    return {"id": str(new_id()), "padding": "x" * 50_000}


async def test_a_slow_browser_sees_a_gap_then_the_newest_and_memory_stays_bounded(darkroom: Darkroom) -> None:
    hub = hub_of(darkroom)
    client = hub.subscribe()
    for _ in range(50 * BACKLOG):
        hub.publish("photo.removed", fat_message())
    waiting = len(client._backlog)
    assert waiting <= BACKLOG
    first = client.take()
    assert first is not None
    assert json.loads(first.text)["seq"] > 1
    hub.unsubscribe(client)


async def test_previews_are_served_until_the_item_ends(darkroom: Darkroom) -> None:
    previews: Previews = darkroom.app.state["previews"]
    backend_id = new_id()
    version = previews.put(backend_id, 7, JPEG_MAGIC + b"picture")
    async with darkroom.http.get(preview_url(backend_id, 7, version)) as response:
        assert (response.status, response.content_type) == (200, "image/jpeg")
        assert await response.read() == JPEG_MAGIC + b"picture"
        assert "content-encoding" not in response.headers
    previews.drop(backend_id, 7)
    async with darkroom.http.get(preview_url(backend_id, 7, version)) as response:
        assert (response.status, (await response.json())["error"]["code"]) == (404, "not_found")


async def test_the_feed_ends_with_the_service(tmp_path: Path, database_url: str) -> None:
    feed: Feed
    async with running(settings_for(tmp_path, database_url)) as darkroom:
        feed = await darkroom.feed().__aenter__()
        await feed.next()
        bus: Bus = darkroom.app.state["bus"]
        bus.ledger_changed()
    await feed.socket.wait_closed()
    with pytest.raises(ConnectionClosed) as closed:
        await feed.until(lambda _: False)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012
