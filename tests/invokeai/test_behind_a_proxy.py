"""Darkroom and a real InvokeAI with a proxy in between that passes no websockets, or not every route."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pyvips
from aiohttp import web

from tests.fakes.process import DarkroomProcess
from tests.fakes.reverse_proxy import ReverseProxy, reverse_proxy
from tests.invokeai.server import RealInvokeAI

pytestmark = [pytest.mark.invokeai, pytest.mark.timeout(600)]

PROMISED = 30
"""Seconds in which what InvokeAI has finished is home."""


@pytest.fixture(params=["no websockets", "no openapi", "neither"])
async def proxy(invokeai: RealInvokeAI, request: pytest.FixtureRequest) -> AsyncIterator[ReverseProxy]:
    async def no_openapi(asked: web.Request) -> web.StreamResponse | None:
        return web.Response(status=500) if asked.path == "/openapi.json" else None

    async with reverse_proxy(invokeai.address) as proxy:
        proxy.websockets = request.param == "no openapi"
        if request.param != "no websockets":
            proxy.faults.append(no_openapi)
        yield proxy


@pytest.fixture
async def darkroom(proxy: ReverseProxy, invokeai: RealInvokeAI, public_folder: Path) -> AsyncIterator[DarkroomProcess]:
    process = DarkroomProcess(public_folder / "data", DARKROOM_INVOKEAI_URL=proxy.url)
    await process.start()
    await invokeai.let_in(process)
    await process.connected()
    yield process
    await process.stop()


async def test_a_batch_and_a_saved_image_come_home_and_a_step_is_canceled(
    darkroom: DarkroomProcess, invokeai: RealInvokeAI
) -> None:
    model = await darkroom.model("sd-1")
    parameters = {"width": 64, "height": 64, "steps": 4, "seed": random.randrange(2**31)}
    step = await darkroom.generate(model, batch_size=4, parameters=parameters)

    async def submitted() -> bool:
        return bool((await darkroom.get(f"/steps/{step['id']}"))["submitted_at"])

    await darkroom.until(submitted, PROMISED)
    await invokeai.until_idle()
    noise = pyvips.Image.gaussnoise(64, 64, mean=128, sigma=40).cast("uchar")
    saved = await invokeai.upload(noise.pngsave_buffer(), "general")
    photos = await darkroom.until_home(5, PROMISED)
    assert saved in {photo["invoke_id"] for photo in photos}
    for photo in photos:
        assert await darkroom.file(photo) == await invokeai.file(photo["invoke_id"])
    assert len((await darkroom.until_step(step["id"], "completed", seconds=PROMISED))["alternatives"]) == 4

    step = await darkroom.generate(
        model, batch_size=3, parameters=parameters | {"width": 256, "height": 256, "steps": 60}
    )
    await darkroom.until_step(step["id"], "processing")
    await darkroom.post(f"/steps/{step['id']}/cancel")
    ended = await darkroom.until_step(step["id"], "canceled", "completed")
    assert [item["status"] for item in ended["items"]][-1] == "canceled"
