"""A Darkroom whose one server is a rented pod, beside the stand-in provider and the stand-in InvokeAI that it runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from playwright.async_api import Locator, Page

from tests.fakes.darkroom import Darkroom, running, settings_for
from tests.fakes.provider import FakeProvider

Json = dict[str, Any]

NAME = "rtx 4090"
QUICK = {"idle_check_seconds": 5}


@asynccontextmanager
async def without_servers(folder: Path, database_url: str | None) -> AsyncIterator[Darkroom]:
    async with running(settings_for(folder, database_url)) as darkroom:
        for backend in await backends(darkroom):
            async with darkroom.http.delete(f"/api/v1/backends/{backend['id']}") as response:
                assert response.status == 204
        async with darkroom.http.patch("/api/v1/settings", json=QUICK) as response:
            assert response.status == 200
        yield darkroom


async def backends(darkroom: Darkroom) -> list[Json]:
    async with darkroom.http.get("/api/v1/backends") as response:
        items: list[Json] = (await response.json())["items"]
        return items


async def rent(darkroom: Darkroom, provider: FakeProvider, **values: Any) -> Json:
    """Adds the pod."""
    body = {"kind": "runpod", "name": NAME, "url": provider.proxy.url, "provider": provider.config} | values
    async with darkroom.http.post("/api/v1/backends", json=body) as response:
        assert response.status == 201, await response.text()
        added: Json = await response.json()
        return added


async def order(darkroom: Darkroom, what: str) -> None:
    """The owner's Start or Stop by REST."""
    [backend] = await backends(darkroom)
    async with darkroom.http.post(f"/api/v1/backends/{backend['id']}/{what}") as response:
        assert response.status == 202, await response.text()


async def until_pod(darkroom: Darkroom, state: str, *, home: bool = False, seconds: float = 60) -> Json:
    """Until its one pod is so; one that runs, until its InvokeAI is connected. `home`: and all of it is home."""

    async def met() -> Json | None:
        [backend] = await backends(darkroom)
        is_ready = state != "running" or backend["state"] == "connected"
        is_home = not home or backend["ledger"]["home"]
        return backend if backend["pod"]["state"] == state and is_ready and is_home else None

    async with asyncio.timeout(seconds):
        while (found := await met()) is None:
            await asyncio.sleep(0.1)
    return found


def card(page: Page) -> Locator:
    return page.get_by_test_id("pod-card")


def button(page: Page, what: str) -> Locator:
    return card(page).get_by_role("button", name=f"{what} {NAME}")
