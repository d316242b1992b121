"""Attacks on the door: by strangers, by pages of other sites, and by sessions that should be over."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from service.database.engine import COSTLY_AT_ONCE, COSTLY_WAITING, Database
from service.demo.server import DemoServer
from service.library import queries
from tests.fakes.darkroom import Darkroom, running, settings_for

PASSWORD = "correct horse"
PHOTOS = "/api/v1/photos"


@pytest.fixture(scope="module")
async def unlocked(tmp_path_factory: pytest.TempPathFactory, module_database_url: str) -> AsyncIterator[Darkroom]:
    async with running(settings_for(tmp_path_factory.mktemp("data"), module_database_url)) as darkroom:
        yield darkroom


async def login(http: aiohttp.ClientSession, password: str, address: str) -> int:
    headers = {"X-Forwarded-For": address}
    async with http.post("/api/v1/login", json={"password": password}, headers=headers) as response:
        return response.status


async def signed_in(darkroom: Darkroom, password: str = PASSWORD) -> dict[str, str]:
    async with darkroom.http.post("/api/v1/login", json={"password": password}) as response:
        assert response.status == 204
        return {"Cookie": f"darkroom_session={response.cookies['darkroom_session'].value}"}


async def status(darkroom: Darkroom, headers: dict[str, str]) -> int:
    async with darkroom.http.get(PHOTOS, headers=headers) as response:
        return response.status


# --- Guesses ---


async def test_guesses_from_ever_new_addresses_do_not_keep_the_owner_from_signing_in(
    tmp_path: Path, database_url: str
) -> None:
    """16 connections, a new address with each guess, before anybody has signed in."""
    async with (
        running(settings_for(tmp_path, database_url, password=PASSWORD)) as darkroom,
        AsyncExitStack() as closing,
    ):

        async def guess(number: int) -> None:
            http = await closing.enter_async_context(aiohttp.ClientSession(darkroom.url))
            for turn in range(10_000):
                await login(http, "wrong password", f"2001:db8:{number:x}:{turn:x}::1")

        guessing = [asyncio.create_task(guess(number)) for number in range(16)]
        try:
            assert [await login(darkroom.http, PASSWORD, "198.51.100.7") for _ in range(5)] == [204] * 5
            assert not any(task.done() for task in guessing)
        finally:
            for task in guessing:
                task.cancel()
            await asyncio.gather(*guessing, return_exceptions=True)


async def test_a_host_that_changes_its_address_within_its_64_has_five_guesses_in_all(
    tmp_path: Path, database_url: str
) -> None:
    async with running(settings_for(tmp_path, database_url, password=PASSWORD)) as darkroom:
        answers = [await login(darkroom.http, "wrong password", f"2001:db8::{n:x}:1") for n in range(7)]
        assert answers == [401] * 5 + [429] * 2
        assert await login(darkroom.http, PASSWORD, "2001:db8::ffff") == 429
        assert await login(darkroom.http, PASSWORD, "2001:db8:0:1::1") == 204


# --- Sessions ---


@pytest.mark.parametrize("between", ["another one", None])
async def test_a_session_does_not_live_again_when_the_password_is_changed_back(
    tmp_path: Path, database_url: str, between: str | None
) -> None:
    async with running(settings_for(tmp_path, database_url, password=PASSWORD)) as darkroom:
        cookie = await signed_in(darkroom)
    async with running(settings_for(tmp_path, database_url, password=PASSWORD)) as darkroom:
        assert await status(darkroom, cookie) == 200
    async with running(settings_for(tmp_path, database_url, password=between)) as darkroom:
        assert await status(darkroom, cookie) == (401 if between else 200)
    async with running(settings_for(tmp_path, database_url, password=PASSWORD)) as darkroom:
        assert await status(darkroom, cookie) == 401
        assert await status(darkroom, await signed_in(darkroom)) == 200


async def test_signing_out_makes_the_browser_forget_the_pictures_it_kept(tmp_path: Path, database_url: str) -> None:
    async with running(settings_for(tmp_path, database_url, password=PASSWORD)) as darkroom:
        cookie = await signed_in(darkroom)
        async with darkroom.http.post("/api/v1/logout", headers=cookie) as response:
            assert (response.status, response.headers["clear-site-data"]) == (204, '"cache"')


# --- Pages of other sites ---

PING = b"\x89\xfd\0\0\0\0" + b"x" * 125
PONG = b"\x8a\x7d" + b"x" * 125
FOREIGN_TYPES = [
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/octet-stream",
    "text/json",
    "application/jsonp",
    "",
]


@pytest.mark.parametrize("content_type", FOREIGN_TYPES)
async def test_a_form_of_another_site_is_no_json(unlocked: Darkroom, content_type: str) -> None:
    document: dict[str, Any] = await read(unlocked, "/api/openapi.json")
    taking = [
        (method, path)
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if "application/json" in operation.get("requestBody", {}).get("content", {})
    ]
    assert len(taking) > 15
    skipped = {"skip_auto_headers": ["Content-Type"]} if not content_type else {}
    headers = {"Content-Type": content_type} if content_type else {}
    no_id = "00000000-0000-0000-0000-000000000000"
    # A connection that is kept may be closed just when it is used again.
    each_its_own = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(unlocked.url, connector=each_its_own) as http:
        for method, path in taking:
            for name in ("photo_id", "session_id", "step_id", "backend_id", "album_id", "undo"):
                path = path.replace(f"{{{name}}}", no_id)
            async with http.request(method, path, data=b"{}", headers=headers, **skipped) as response:
                body = await response.json()
                assert (response.status, body["error"]["code"]) == (415, "unsupported_media_type"), (method, path)


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8", "Application/JSON"])
async def test_json_is_taken_however_its_type_is_written(unlocked: Darkroom, content_type: str) -> None:
    headers = {"Content-Type": content_type}
    async with unlocked.http.post("/api/v1/sessions", data=b'{"name": "x"}', headers=headers) as response:
        assert response.status == 201


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
@pytest.mark.parametrize("path", ["/", PHOTOS, "/api/v1/photos?q=-a", "/api/v1/nothing", "/metrics", "/health/ready"])
async def test_a_page_elsewhere_cannot_make_us_search(unlocked: Darkroom, site: str, path: str) -> None:
    async def answered(method: str, **headers: str) -> int:
        sent = {"Sec-Fetch-Site": site} | {f"Sec-Fetch-{name.title()}": value for name, value in headers.items()}
        async with unlocked.http.request(method, path, headers=sent) as response:
            return response.status

    for method in ("GET", "HEAD"):
        assert await answered(method, mode="no-cors", dest="image") == 403
        assert await answered(method, mode="navigate", dest="iframe") == 403
    assert await answered("GET", mode="navigate", dest="document") != 403


async def read(darkroom: Darkroom, path: str) -> Any:
    async with darkroom.http.get(path) as response:
        assert response.status == 200
        return await response.json()


async def test_the_demos_invokeai_serves_no_page_of_another_site(tmp_path: Path) -> None:
    server = DemoServer(tmp_path)
    url = await server.start()
    images = f"{url}/api/v1/images"
    try:
        async with aiohttp.ClientSession() as http:
            for headers in (
                {"Host": "evil.example"},
                {"Origin": "http://evil.example", "Content-Type": "text/plain"},
                {"Sec-Fetch-Site": "cross-site"},
                {"Origin": "null"},
            ):
                body = json.dumps({"image_names": ["x"]})
                async with http.post(f"{images}/delete", data=body, headers=headers) as response:
                    assert response.status == 403, headers
                if "Origin" not in headers:
                    async with http.get(f"{images}/names", headers=headers) as response:
                        assert response.status == 403, headers
                with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                    await http.ws_connect(f"{url}/ws/socket.io/?EIO=4&transport=websocket", headers=headers)
                assert refused.value.status == 403, headers
            async with http.get(f"{images}/names") as response:
                assert response.status == 200
    finally:
        await server.stop()


# --- The owner's own connections ---


async def test_pings_whose_pongs_are_not_read_are_not_kept(unlocked: Darkroom) -> None:
    """One pong answers them all, once the client reads."""
    with socket.socket() as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.setblocking(False)
        await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", unlocked.port))
        reader, writer = await asyncio.open_connection(sock=raw, limit=1024)
        writer.write(
            f"GET /api/v1/feed HTTP/1.1\r\nHost: 127.0.0.1:{unlocked.port}\r\nConnection: Upgrade\r\n"
            "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            "\r\n".encode()
        )
        assert (await reader.readline()).startswith(b"HTTP/1.1 101")
        sent = 0
        for _ in range(30):
            writer.write(PING * 2500)
            sent += 2500
            await asyncio.wait_for(writer.drain(), 30)
        writer.write(PING.replace(b"x", b"y"))
        received = 0
        async with asyncio.timeout(60):
            while b"yyyyy" not in (some := await reader.read(2**20)):
                received += len(some)
        writer.transport.abort()
    assert received < 0.8 * sent * len(PONG)


async def test_costly_searches_leave_room_for_lists_and_for_health(
    unlocked: Darkroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Searches that do not end hold a few of the connections, and no more; then they are refused."""
    monkeypatch.setattr(queries, "LONGEST_SECONDS", 120.0)
    monkeypatch.setattr(queries, "LONGEST_UNINDEXED_SECONDS", 120.0)
    database: Database = unlocked.app.state["database"]
    async with AsyncExitStack() as closing:
        many = aiohttp.TCPConnector(limit=0)
        http = await closing.enter_async_context(aiohttp.ClientSession(unlocked.url, connector=many))
        connection = await closing.enter_async_context(database.connection())
        await connection.execute("BEGIN; LOCK TABLE search_words IN ACCESS EXCLUSIVE MODE")

        async def search() -> int:
            async with http.get(PHOTOS, params={"q": "hill"}) as response:
                return response.status

        searches = [asyncio.create_task(search()) for _ in range(COSTLY_AT_ONCE + COSTLY_WAITING + 5)]
        async with asyncio.timeout(60):
            while sum(task.done() for task in searches) < 5:
                await asyncio.sleep(0.02)
        assert [task.result() for task in searches if task.done()] == [503] * 5
        for path in (PHOTOS, "/health/ready", "/api/v1/albums"):
            await read(unlocked, path)
        await connection.execute("ROLLBACK")
        assert {await task for task in searches} == {200, 503}
