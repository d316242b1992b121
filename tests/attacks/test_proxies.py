"""Behind nginx and Caddy each visitor is counted by itself, and the owner is served as without them."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import aiohttp
import pytest

from service.access.password import FAILURES_ALLOWED
from tests.attacks import proxies
from tests.attacks.owner import PASSWORD, browsing
from tests.attacks.strangers import attacking, be_silent, pour
from tests.fakes.pictures import png_of
from tests.fakes.process import DarkroomProcess

pytestmark = pytest.mark.attacks

Proxy = Callable[[int, Path], AbstractAsyncContextManager[int]]
SECONDS = 3.0


@pytest.fixture(params=[f"{proxies.ADDRESS},127.0.0.1", None], ids=["proxy named", "proxy not named"], scope="module")
async def behind(request: pytest.FixtureRequest) -> AsyncIterator[DarkroomProcess]:
    """With nginx in FORWARDED_ALLOW_IPS, or not: it comes from another address than this machine's usual one."""
    named = {"FORWARDED_ALLOW_IPS": request.param} if request.param else {}
    with tempfile.TemporaryDirectory(prefix="darkroom-attacks-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        darkroom = DarkroomProcess(
            Path(folder) / "data", DARKROOM_PASSWORD=PASSWORD, DARKROOM_INVOKEAI_URL="http://127.0.0.1:9", **named
        )
        try:
            await darkroom.start()
            yield darkroom
        finally:
            await darkroom.stop()


def is_named(darkroom: DarkroomProcess) -> bool:
    return "FORWARDED_ALLOW_IPS" in darkroom.environment


def visitor(port: int, address: str, **headers: str) -> aiohttp.ClientSession:
    """Somebody with an address of their own."""
    connector = aiohttp.TCPConnector(local_addr=(address, 0))
    jar = aiohttp.CookieJar(unsafe=True)
    return aiohttp.ClientSession(f"http://127.0.0.1:{port}", connector=connector, cookie_jar=jar, headers=headers)


async def sign_in(http: aiohttp.ClientSession, password: str) -> int:
    async with http.post("/api/v1/login", json={"password": password}) as response:
        return response.status


@pytest.mark.parametrize("proxy", [proxies.nginx, proxies.caddy], ids=["nginx", "Caddy"])
async def test_the_owner_signs_in_uploads_and_follows_the_feed(
    behind: DarkroomProcess, tmp_path: Path, proxy: Proxy
) -> None:
    async with proxy(behind.port, tmp_path) as port, visitor(port, "127.0.0.10") as owner:
        assert await sign_in(owner, PASSWORD) == 204
        async with owner.get("/") as page:
            assert page.status == 200
            assert "<title>Darkroom" in await page.text()
        async with owner.ws_connect("/api/v1/feed") as feed:
            assert (await feed.receive_json(timeout=20))["type"] == "hello"
            form = aiohttp.FormData()
            picture = png_of(320, 200, shade=40 if proxy is proxies.nginx else 80)
            form.add_field("file", picture, filename="a.png")
            async with owner.post("/api/v1/photos", data=form, headers={"Origin": f"http://127.0.0.1:{port}"}) as done:
                assert done.status == 201, await done.text()
                photo = await done.json()
            message = await feed.receive_json(timeout=20)
            while photo["id"] not in str(message):
                message = await feed.receive_json(timeout=20)
        async with owner.get(f"/api/v1/photos/{photo['id']}/file") as file:
            assert await file.read() == picture


async def test_one_visitor_guesses_and_another_signs_in(behind: DarkroomProcess, tmp_path: Path) -> None:
    """The guesser's own X-Forwarded-For changes nothing. Behind a proxy that is not named all are one visitor."""
    async with proxies.nginx(behind.port, tmp_path) as port:
        async with visitor(port, "127.0.0.6", **{"X-Forwarded-For": "203.0.113.9"}) as guesser:
            statuses = [await sign_in(guesser, f"wrong password {n}") for n in range(FAILURES_ALLOWED)]
            assert statuses == [401] * FAILURES_ALLOWED
            assert await sign_in(guesser, PASSWORD) == 429
        async with visitor(port, "127.0.0.6", **{"X-Forwarded-For": "203.0.113.10"}) as guesser:
            assert await sign_in(guesser, PASSWORD) == 429
        async with visitor(port, "127.0.0.7") as owner:
            assert await sign_in(owner, PASSWORD) == (204 if is_named(behind) else 429)


async def test_one_visitor_of_caddy_guesses_and_another_signs_in(behind: DarkroomProcess, tmp_path: Path) -> None:
    """It is on this machine, so it need not be named."""
    async with proxies.caddy(behind.port, tmp_path) as port:
        async with visitor(port, "127.0.0.8", **{"X-Forwarded-For": "203.0.113.11"}) as guesser:
            for number in range(FAILURES_ALLOWED):
                assert await sign_in(guesser, f"wrong password {number}") == 401
            assert await sign_in(guesser, PASSWORD) == 429
        async with visitor(port, "127.0.0.9") as owner:
            assert await sign_in(owner, PASSWORD) == 204


async def test_attacks_through_a_proxy_reach_nobody(behind: DarkroomProcess, tmp_path: Path) -> None:
    async with proxies.nginx(behind.port, tmp_path) as port, browsing(behind):
        heads = [pour(port, b"GET / HTTP/1.1\r\nHost: x\r\nX: ", b"v" * 65536) for _ in range(2)]
        requests = [pour(port, b"", b"GET /api/v1/photos HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 1000) for _ in range(4)]
        async with attacking(*heads, *requests, *[be_silent(port, b"GET / HTTP/1.1\r\n") for _ in range(200)]):
            await asyncio.sleep(SECONDS)
