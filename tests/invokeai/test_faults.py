"""What goes wrong for minutes between Darkroom and a real InvokeAI, and that every image comes home all the same.

`make test-faults INVOKEAI_URL=…`: apart from CI, for each fault lasts as long as its rule's windows.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from service.demo import DemoServer
from tests.fakes import batches
from tests.fakes.process import DarkroomProcess
from tests.fakes.reverse_proxy import ReverseProxy, json_404, reverse_proxy
from tests.invokeai.server import RealInvokeAI

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1800)]

MINUTE = 60


@pytest.fixture
async def proxy(invokeai: RealInvokeAI) -> AsyncIterator[ReverseProxy]:
    async with reverse_proxy(invokeai.address) as proxy:
        yield proxy


@pytest.fixture
async def another(public_folder: Path) -> AsyncIterator[DemoServer]:
    """Another InvokeAI, which knows nothing of the first one's images."""
    server = DemoServer(public_folder / "another")
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def darkroom(proxy: ReverseProxy, invokeai: RealInvokeAI, public_folder: Path) -> AsyncIterator[DarkroomProcess]:
    process = DarkroomProcess(public_folder / "data", DARKROOM_INVOKEAI_URL=proxy.url)
    await process.start()
    await invokeai.let_in(process)
    await process.connected()
    yield process
    await process.stop()


async def storage_maintenance(request: web.Request) -> web.StreamResponse | None:
    """InvokeAI's own 409 for files: images are known and wait."""
    if request.path.endswith("/full"):
        return web.json_response({"detail": "Image storage maintenance is in progress"}, status=409)
    return None


async def make_images(invokeai: RealInvokeAI, count: int) -> None:
    """So many images by InvokeAI's own queue, ten to an item."""
    for _ in range(count // 10):
        await invokeai.queue("POST", "enqueue_batch", batches.batch(batches.several_images(10)))
    await invokeai.until_idle()


async def ledger(darkroom: DarkroomProcess) -> dict[str, Any]:
    return dict((await darkroom.get("/backends"))["items"][0]["ledger"])


async def twenty_wait(darkroom: DarkroomProcess, invokeai: RealInvokeAI, proxy: ReverseProxy) -> None:
    """Twenty images are known, and none can be fetched until the proxy's faults are others."""
    proxy.faults = [storage_maintenance]
    await make_images(invokeai, 20)

    async def waiting() -> bool:
        return bool((await ledger(darkroom))["waiting"] == 20)

    await darkroom.until(waiting, 60)


async def all_home(darkroom: DarkroomProcess, invokeai: RealInvokeAI, count: int, seconds: float = 120) -> None:
    """All of them, once each, with InvokeAI's own bytes."""
    photos = await darkroom.until_home(count, seconds)
    assert len({photo["invoke_id"] for photo in photos}) == count
    for photo in photos:
        assert await darkroom.file(photo) == await invokeai.file(photo["invoke_id"])


async def nothing_concluded(darkroom: DarkroomProcess, seconds: float) -> None:
    """For so long no image is called gone or failed, and the ledger never says that all is home."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while loop.time() < end:
        now = await ledger(darkroom)
        assert (now["gone"], now["failed"], now["home"]) == (0, 0, False), now
        await asyncio.sleep(1)


async def test_twenty_wait_while_another_invokeai_answers_there_for_a_minute(
    darkroom: DarkroomProcess, invokeai: RealInvokeAI, proxy: ReverseProxy, another: DemoServer
) -> None:
    await twenty_wait(darkroom, invokeai, proxy)
    proxy.upstream, proxy.faults = another.url, []
    await proxy.cut()
    await nothing_concluded(darkroom, MINUTE)
    proxy.upstream = invokeai.address
    await proxy.cut()
    await all_home(darkroom, invokeai, 20)


async def test_twenty_wait_while_another_invokeai_answers_there_and_no_socket_breaks(
    darkroom: DarkroomProcess, invokeai: RealInvokeAI, proxy: ReverseProxy, another: DemoServer
) -> None:
    await twenty_wait(darkroom, invokeai, proxy)
    proxy.upstream, proxy.faults = another.url, []
    await nothing_concluded(darkroom, MINUTE)
    proxy.upstream = invokeai.address
    await all_home(darkroom, invokeai, 20)


async def test_twenty_wait_while_a_gateway_answers_json_404_to_everything(
    darkroom: DarkroomProcess, invokeai: RealInvokeAI, proxy: ReverseProxy
) -> None:
    await twenty_wait(darkroom, invokeai, proxy)
    proxy.faults = [json_404()]
    await nothing_concluded(darkroom, MINUTE)
    proxy.faults = []
    await all_home(darkroom, invokeai, 20)


async def test_twenty_wait_while_the_address_is_edited_on_the_page_and_back(
    darkroom: DarkroomProcess, invokeai: RealInvokeAI, proxy: ReverseProxy, another: DemoServer
) -> None:
    await twenty_wait(darkroom, invokeai, proxy)
    proxy.faults = []
    [backend] = (await darkroom.get("/backends"))["items"]
    status, answer = await darkroom.call("PATCH", f"/api/v1/backends/{backend['id']}", {"url": another.url})
    assert status == 200, answer
    await nothing_concluded(darkroom, MINUTE)
    [backend] = (await darkroom.get("/backends"))["items"]
    assert backend["state"] == "unrecognised", backend
    status, answer = await darkroom.call("PATCH", f"/api/v1/backends/{backend['id']}", {"url": proxy.url})
    assert status == 200, answer
    await all_home(darkroom, invokeai, 20)


async def test_twenty_come_home_though_the_dto_route_fails_half_the_time(
    darkroom: DarkroomProcess, invokeai: RealInvokeAI, proxy: ReverseProxy
) -> None:
    async def half(request: web.Request) -> web.StreamResponse | None:
        parts = request.path.removeprefix("/api/v1/images/i/").split("/")
        is_dto = request.path.startswith("/api/v1/images/i/") and len(parts) == 1
        if request.path.endswith("/full") or (is_dto and random.random() < 0.5):
            return web.json_response({"detail": "Not Found"}, status=404)
        return None

    proxy.faults = [half]
    await make_images(invokeai, 20)
    await asyncio.sleep(5 * MINUTE)
    assert (await ledger(darkroom))["gone"] == 0
    assert not (await ledger(darkroom))["home"]
    proxy.faults = []
    await all_home(darkroom, invokeai, 20)


async def test_thirty_come_home_by_themselves_after_five_minutes_of_flipped_bytes(
    darkroom: DarkroomProcess, invokeai: RealInvokeAI, proxy: ReverseProxy
) -> None:
    def flip(content: bytes) -> bytes:
        if len(content) < 200:
            return content
        at = random.randrange(60, len(content) - 20)
        return content[:at] + bytes([content[at] ^ 0x55]) + content[at + 1 :]

    proxy.damage = flip
    await make_images(invokeai, 30)
    await asyncio.sleep(5 * MINUTE)
    [backend] = (await darkroom.get("/backends"))["items"]
    assert backend["ledger"]["failed"] == backend["ledger"]["gone"] == 0, backend
    assert backend["troubles"], "the card says what is wrong"
    proxy.damage = None
    await all_home(darkroom, invokeai, 30)


async def test_twenty_of_two_hundred_damaged_files_are_whole_again_by_themselves(
    darkroom: DarkroomProcess, invokeai: RealInvokeAI, proxy: ReverseProxy
) -> None:
    status, answer = await darkroom.call("PATCH", "/api/v1/settings", {"patrol_days": 0.0005})
    assert status == 200, answer
    await make_images(invokeai, 200)
    photos = await darkroom.until_home(200)
    originals = {path: hashlib.sha256(path.read_bytes()).digest() for path in darkroom.files()}
    assert len(originals) == len(photos) == 200
    damage(list(originals)[:20])

    async def whole() -> bool:
        return all(
            path.exists() and hashlib.sha256(path.read_bytes()).digest() == before for path, before in originals.items()
        )

    await darkroom.until(whole, 5 * MINUTE)
    await darkroom.until_home(200)
    proxy.faults = [json_404()]
    damage(list(originals)[20:40])

    async def named() -> bool:
        now = await ledger(darkroom)
        return bool(now["waiting"] + now["failed"] >= 20 and not now["home"])

    await darkroom.until(named, 5 * MINUTE)


def damage(files: list[Path]) -> None:
    """Removes, cuts or flips each, in turn."""
    for number, file in enumerate(files):
        content = file.read_bytes()
        if number % 3 == 0:
            file.unlink()
        elif number % 3 == 1:
            file.write_bytes(content[: len(content) // 2])
        else:
            file.write_bytes(content[:-20] + bytes([content[-20] ^ 1]) + content[-19:])
