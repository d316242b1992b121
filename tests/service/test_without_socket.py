"""Behind a proxy that passes no websockets, cuts them, or fails the discovery routes: all works, somewhat slower."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from service.backends import change_poller
from tests.fakes.darkroom import Darkroom, running, settings_for
from tests.fakes.reverse_proxy import ReverseProxy, reverse_proxy
from tests.fakes.scripted import ScriptedInvokeAI

Json = dict[str, Any]
PROMISED = 30.0
"""Seconds in which everything is home."""


@pytest.fixture
async def proxy(invokeai: ScriptedInvokeAI) -> AsyncIterator[ReverseProxy]:
    async with reverse_proxy(invokeai.url) as proxy:
        yield proxy


@asynccontextmanager
async def darkroom_behind(proxy: ReverseProxy, folder: Path, database_url: str) -> AsyncIterator[Darkroom]:
    async with running(settings_for(folder, database_url, invokeai_url=proxy.url)) as darkroom:
        yield darkroom


async def get(darkroom: Darkroom, path: str) -> Any:
    async with darkroom.http.get(f"/api/v1{path}") as response:
        assert response.status == 200, await response.text()
        return await response.json()


async def post(darkroom: Darkroom, path: str, **body: Any) -> Any:
    async with darkroom.http.post(f"/api/v1{path}", json=body) as response:
        assert response.status in (200, 201), await response.text()
        return await response.json()


async def until(darkroom: Darkroom, path: str, is_so: Callable[[Any], bool]) -> Any:
    answer = None
    try:
        async with asyncio.timeout(PROMISED):
            while not is_so(answer := await get(darkroom, path)):
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(answer) from None
    return answer


async def server_that(darkroom: Darkroom, is_so: Callable[[Json], bool]) -> Json:
    servers: Json = await until(darkroom, "/backends", lambda all: bool(all["items"]) and is_so(all["items"][0]))
    server: Json = servers["items"][0]
    return server


def troubles(server: Json) -> dict[str, str]:
    return {trouble["code"]: trouble["words"] for trouble in server["troubles"]}


async def submit(darkroom: Darkroom, batch_size: int) -> str:
    await until(darkroom, "/models", lambda models: bool(models["items"]))
    [model, *_] = (await get(darkroom, "/models?base=sd-1"))["items"]
    session = await post(darkroom, "/sessions", name="s")
    step = await post(
        darkroom,
        f"/sessions/{session['id']}/steps",
        prompt="a lighthouse",
        model_key=model["key"],
        model_hash=model["hash"],
        batch_size=batch_size,
        parameters={"width": 64, "height": 64, "steps": 2, "seed": 7},
    )
    return str(step["id"])


async def all_is_done(darkroom: Darkroom, invokeai: ScriptedInvokeAI) -> None:
    """A batch of four and an image that nobody's event tells of come home; a step that runs is canceled."""
    step_id = await submit(darkroom, 4)
    step = await until(darkroom, f"/steps/{step_id}", lambda step: step["status"] == "completed")
    assert len(step["alternatives"]) == 4
    saved = invokeai.add_canvas_save()
    await until(
        darkroom,
        "/photos",
        lambda photos: [photo["retrieval_status"] for photo in photos["items"]] == ["completed"] * 5,
    )
    assert saved.image_name in {photo["invoke_id"] for photo in (await get(darkroom, "/photos"))["items"]}
    hold = invokeai.hold("denoise")
    step_id = await submit(darkroom, 1)
    item = await hold.reached()
    await until(darkroom, f"/steps/{step_id}", lambda step: step["status"] == "processing")
    await post(darkroom, f"/steps/{step_id}/cancel")
    await invokeai.until(lambda: item.status == "canceled")
    hold.release()
    await until(darkroom, f"/steps/{step_id}", lambda step: step["status"] == "canceled")


async def test_without_websockets_everything_works_and_the_card_says_why_it_is_slower(
    proxy: ReverseProxy, invokeai: ScriptedInvokeAI, tmp_path: Path, database_url: str
) -> None:
    proxy.websockets = False
    async with darkroom_behind(proxy, tmp_path, database_url) as darkroom:
        server = await server_that(darkroom, lambda server: bool(server["troubles"]))
        assert server["state"] == "connected"
        assert troubles(server) == {"no_events": "No live events: a proxy in between passes no websockets"}
        await all_is_done(darkroom, invokeai)
        proxy.websockets = True
        await server_that(darkroom, lambda server: server["troubles"] == [])


async def test_a_server_without_a_socket_that_goes_away_is_unreachable_at_once(
    proxy: ReverseProxy, invokeai: ScriptedInvokeAI, tmp_path: Path, database_url: str
) -> None:
    proxy.websockets = False
    async with darkroom_behind(proxy, tmp_path, database_url) as darkroom:
        await server_that(darkroom, lambda server: "no_events" in troubles(server))
        await invokeai.kill()
        server = await server_that(darkroom, lambda server: server["state"] == "unreachable")
        assert server["troubles"] == []
        await invokeai.restart()
        await server_that(darkroom, lambda server: server["state"] == "connected")


@pytest.mark.parametrize("failing", ["/openapi.json", "/api/v1/auth/status", "/api/v1/videos/"])
async def test_no_discovery_route_stands_in_the_way(
    proxy: ReverseProxy, invokeai: ScriptedInvokeAI, tmp_path: Path, database_url: str, failing: str
) -> None:
    async def broken(request: web.Request) -> web.StreamResponse | None:
        return web.Response(status=500, text="Internal Server Error") if request.path == failing else None

    proxy.faults.append(broken)
    async with darkroom_behind(proxy, tmp_path, database_url) as darkroom:
        await all_is_done(darkroom, invokeai)
        assert troubles(await server_that(darkroom, lambda server: server["state"] == "connected")) == {}


async def test_a_proxy_that_cuts_the_socket_every_second_loses_nothing(
    proxy: ReverseProxy, invokeai: ScriptedInvokeAI, tmp_path: Path, database_url: str
) -> None:
    async def keep_cutting() -> None:
        while True:
            await asyncio.sleep(1)
            await proxy.cut()

    cutting = asyncio.create_task(keep_cutting())
    try:
        async with darkroom_behind(proxy, tmp_path, database_url) as darkroom:
            await all_is_done(darkroom, invokeai)
    finally:
        cutting.cancel()
    assert sum(path == "/openapi.json" for _, path in proxy.asked) == 1, "it has answered all the time"


@pytest.fixture(autouse=True)
def haste(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(change_poller, "SHORTEST", 0.5)
