"""An address that used up its attempts gets 429 for any password, by login and as a bearer, even after others signed
in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest

from service.access.password import FAILURES_ALLOWED
from tests.fakes.darkroom import Darkroom, running, settings_for

Send = Callable[[aiohttp.ClientSession, str], Awaitable[int]]

PASSWORD = "correct horse"


@pytest.fixture
async def locked(tmp_path: Path, database_url: str) -> AsyncIterator[Darkroom]:
    async with running(settings_for(tmp_path, database_url, password=PASSWORD)) as darkroom:
        yield darkroom


@pytest.fixture
async def stranger(locked: Darkroom) -> AsyncIterator[aiohttp.ClientSession]:
    """Comes by way of a proxy on this machine."""
    async with aiohttp.ClientSession(locked.url, headers={"X-Forwarded-For": "203.0.113.9"}) as http:
        yield http


async def login(http: aiohttp.ClientSession, password: str) -> int:
    async with http.post("/api/v1/login", json={"password": password}) as response:
        return response.status


async def bearer(http: aiohttp.ClientSession, password: str) -> int:
    async with http.get("/api/v1/photos", headers={"Authorization": f"Bearer {password}"}) as response:
        return response.status


@pytest.mark.parametrize("send", [login, bearer])
async def test_the_right_password_comes_too_late_after_five_wrong_ones(
    locked: Darkroom, stranger: aiohttp.ClientSession, send: Send
) -> None:
    assert await login(locked.http, PASSWORD) == 204
    assert await bearer(locked.http, PASSWORD) == 200
    for _ in range(FAILURES_ALLOWED):
        assert await send(stranger, "wrong password") == 401
    assert await login(locked.http, PASSWORD) == 204
    assert await login(stranger, PASSWORD) == 429
    assert await bearer(stranger, PASSWORD) == 429
    assert await bearer(locked.http, PASSWORD) == 200
