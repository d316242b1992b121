"""Another InvokeAI answers where the recorded one did (recognised servers only): nothing is concluded, and nothing is
lost."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from service.database.engine import Connection
from tests.fakes import ScriptedInvokeAI, batches
from tests.fakes.darkroom import Darkroom, running, settings_for
from tests.fakes.owner import Owner
from tests.fakes.process import DarkroomProcess
from tests.fakes.reverse_proxy import ReverseProxy, json_404, reverse_proxy
from tests.fakes.servers import Servers
from tests.fakes.waiting import eventually

WAITING = 20
FATES = "SELECT retrieval_status, count(*) FROM photos GROUP BY retrieval_status"


async def no_files(request: web.Request) -> web.StreamResponse | None:
    """The files cannot be had for now: what is recorded waits."""
    return web.Response(status=503, text="busy") if request.path.endswith("/full") else None


@dataclass
class TwoServers:
    """A Darkroom whose 20 images wait at the first of two servers; the second has images and items of its own. Both are
    reached through the proxy."""

    first: ScriptedInvokeAI
    other: ScriptedInvokeAI
    proxy: ReverseProxy
    connection: Connection
    start: Callable[..., Awaitable[Owner]]
    stop: Callable[[], Awaitable[None]]

    async def fates(self) -> dict[str, int]:
        return {row["retrieval_status"]: row["count"] for row in await self.connection.fetch(FATES)}

    async def let_wait(self, owner: Owner) -> None:
        """20 images are recorded, and none of them is tried before the next connection."""
        self.proxy.faults.append(no_files)
        for _ in range(WAITING):
            self.first.add_canvas_save()
        owner.darkroom.app.state.registry.request_gallery_reading(await self.environment())

        async def all_wait() -> bool:
            await self.connection.execute(
                "UPDATE photos SET next_retrieval_attempt = now() + interval '1 hour'"
                " WHERE retrieval_status = 'pending'"
            )
            return await self.fates() == {"pending": WAITING}

        await eventually(all_wait)

    async def environment(self) -> Any:
        return await self.connection.fetchval("SELECT (value->>'backend_id')::uuid FROM settings WHERE key LIKE 'env%'")

    async def swap(self, server: ScriptedInvokeAI) -> None:
        self.proxy.upstream = server.url
        await self.proxy.cut()


@pytest.fixture
async def two(tmp_path: Path, database_url: str, connection: Connection, servers: Servers) -> AsyncIterator[TwoServers]:
    first, other = await servers("first"), await servers("other")
    for server in (first, other):
        server.labelled = False
    for _ in range(3):
        other.add_canvas_save()
    await other.enqueue(batches.batch(batches.blank()))
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(reverse_proxy(first.url))
        lives: list[AsyncExitStack] = []

        async def start(url: str = proxy.url, **options: Any) -> Owner:
            life = await stack.enter_async_context(AsyncExitStack())
            lives.append(life)
            settings = settings_for(tmp_path / "data", database_url, invokeai_url=url, **options)
            darkroom: Darkroom = await life.enter_async_context(running(settings))
            return Owner(darkroom)

        async def stop() -> None:
            await lives.pop().aclose()

        yield TwoServers(first, other, proxy, connection, start, stop)


async def test_another_server_for_a_while_costs_no_image(two: TwoServers) -> None:
    owner = await two.start()
    await owner.until_state("connected")
    await two.let_wait(owner)
    await two.swap(two.other)
    unrecognised = await owner.until_state("unrecognised")
    assert "another InvokeAI answers here" in unrecognised["error"]
    step = await step_of(owner)
    two.proxy.faults.clear()
    two.proxy.asked.clear()
    two.other.add_canvas_save()
    await eventually(lambda: asked_again(two))
    assert await two.fates() == {"pending": WAITING}, "nothing of the other is taken, nothing of the first is gone"
    assert owner.darkroom.app.state.registry.reachable() == []
    assert not [path for method, path in two.proxy.asked if path.endswith(("/enqueue_batch", "/full"))]
    assert not [path for _, path in two.proxy.asked if path.startswith("/ws/")], "nor are its events"
    await two.swap(two.first)
    await owner.until_state("connected")
    await owner.until_ledger(retrieved=WAITING + 1, waiting=0, failed=0, gone=0)
    assert (await owner.get(f"/api/v1/steps/{step}"))["status"] == "completed", "what waited to be sent went home too"


async def step_of(owner: Owner) -> str:
    """A step that is asked for now."""
    async with owner.http.get("/api/v1/models") as response:
        model = next(m for m in (await response.json())["items"] if m["base"] == "sd-1")
    async with owner.http.post("/api/v1/sessions", json={"name": "s"}) as response:
        session = (await response.json())["id"]
    body = {
        "prompt": "a lighthouse",
        "model_key": model["key"],
        "model_hash": model["hash"],
        "parameters": {"width": 64, "height": 64, "steps": 2},
    }
    async with owner.http.post(f"/api/v1/sessions/{session}/steps", json=body) as response:
        assert response.status == 201, await response.text()
        return str((await response.json())["id"])


async def asked_again(two: TwoServers) -> bool:
    """It was asked who it is at least twice more."""
    return sum(path == "/api/v1/images/images_by_names" for _, path in two.proxy.asked) >= 4


async def test_a_gateways_json_404_to_everything_costs_no_image(two: TwoServers) -> None:
    owner = await two.start()
    await owner.until_state("connected")
    await two.let_wait(owner)
    two.proxy.faults.insert(0, json_404())
    await two.proxy.cut()
    await owner.until_state("unreachable")
    assert await two.fates() == {"pending": WAITING}
    two.proxy.faults.clear()
    await owner.until_state("connected")
    await owner.until_ledger(retrieved=WAITING, waiting=0)


async def test_an_address_edited_on_the_page_and_back_costs_no_image(two: TwoServers) -> None:
    owner = await two.start()
    await owner.until_state("connected")
    await two.let_wait(owner)
    backend = await owner.backend()
    await owner.patch(backend["id"], url=two.other.url)
    await owner.until_state("unrecognised")
    assert await two.fates() == {"pending": WAITING}
    two.proxy.faults.clear()
    await owner.patch(backend["id"], url=two.proxy.url)
    await owner.until_state("connected")
    await owner.until_ledger(retrieved=WAITING, waiting=0)


async def test_images_that_wait_come_from_where_their_server_has_moved(two: TwoServers) -> None:
    owner = await two.start()
    await owner.until_state("connected")
    await two.let_wait(owner)
    backend = await owner.backend()
    await owner.patch(backend["id"], url=two.first.url)
    await owner.until_state("connected")
    await owner.until_ledger(retrieved=WAITING, waiting=0)


async def test_the_environments_address_changed_while_the_process_is_down_and_back(two: TwoServers) -> None:
    owner = await two.start()
    await owner.until_state("connected")
    await two.let_wait(owner)
    await two.stop()
    owner = await two.start(two.other.url)
    assert len(await owner.backends()) == 1
    await owner.until_state("unrecognised")
    assert await two.fates() == {"pending": WAITING}
    await two.stop()
    two.proxy.faults.clear()
    owner = await two.start()
    await owner.until_state("connected")
    await owner.until_ledger(retrieved=WAITING, waiting=0)


async def test_the_environments_server_at_a_new_address_is_recognised(two: TwoServers) -> None:
    owner = await two.start()
    await owner.until_state("connected")
    await two.let_wait(owner)
    await two.stop()
    owner = await two.start(two.first.url)
    await owner.until_state("connected")
    await owner.until_ledger(retrieved=WAITING, waiting=0)


async def test_two_servers_whose_addresses_are_exchanged_are_not_taken_for_each_other(two: TwoServers) -> None:
    owner = await two.start()
    await owner.until_state("connected")
    await two.let_wait(owner)
    one = await owner.backend()
    async with owner.http.post("/api/v1/backends", json={"url": two.other.url}) as response:
        second = await response.json()
    await owner.until_state("connected", second["id"])
    two.other.add_canvas_save()
    owner.darkroom.app.state.registry.request_gallery_reading(await id_of(two, second))
    await eventually(lambda: something_home(owner, second["id"]))
    await owner.patch(second["id"], url="http://127.0.0.1:9")
    await owner.patch(one["id"], url=two.other.url)
    await owner.patch(second["id"], url=two.proxy.url)
    for backend in (one, second):
        await owner.until_state("unrecognised", backend["id"])
    assert (await two.fates())["pending"] == WAITING
    two.proxy.faults.clear()
    await owner.patch(second["id"], url="http://127.0.0.1:9")
    await owner.patch(one["id"], url=two.proxy.url)
    await owner.patch(second["id"], url=two.other.url)
    for backend in (one, second):
        await owner.until_state("connected", backend["id"])
    await owner.until_ledger(one["id"], retrieved=WAITING, waiting=0)


async def something_home(owner: Owner, backend_id: str) -> bool:
    ledger = (await owner.backend(backend_id))["ledger"]
    return bool(ledger["retrieved"] and ledger["home"])


async def id_of(two: TwoServers, backend: dict[str, Any]) -> Any:
    return await two.connection.fetchval("SELECT id FROM backends WHERE url = $1", backend["url"])


async def test_a_server_that_stands_behind_the_old_socket_is_found_out_by_the_next_reading(two: TwoServers) -> None:
    """REST leads elsewhere while the socket stays: no image of the other is recorded, and the connection ends."""
    owner = await two.start()
    await owner.until_state("connected")
    await two.let_wait(owner)
    two.proxy.upstream = two.other.url
    two.other.add_canvas_save()
    owner.darkroom.app.state.registry.request_gallery_reading(await two.environment())
    await owner.until_state("unrecognised")
    assert await two.fates() == {"pending": WAITING}


async def test_killed_between_the_change_of_address_and_the_recognition_it_is_asked_after_the_start(
    public_folder: Path, servers: Servers
) -> None:
    first, other = await servers("first"), await servers("other")
    process = DarkroomProcess(public_folder / "data", DARKROOM_INVOKEAI_URL=first.url)
    await process.start()
    try:
        backend = await process.connected()
        first.add_canvas_save()
        await process.call("PATCH", f"/api/v1/backends/{backend['id']}", {"mirror": "own"})
        await process.call("PATCH", f"/api/v1/backends/{backend['id']}", {"mirror": "all"})
        await process.until_home(1)
        await other.refuse()
        status, _ = await process.call("PATCH", f"/api/v1/backends/{backend['id']}", {"url": other.url})
        assert status == 200
        await process.kill()
        await other.accept()
        await process.start()

        async def unrecognised() -> bool:
            [found] = (await process.get("/backends"))["items"]
            return (found["url"], found["state"]) == (other.url, "unrecognised")

        await process.until(unrecognised)
        await process.call("PATCH", f"/api/v1/backends/{backend['id']}", {"url": first.url})
        await process.connected()
    finally:
        await process.stop()
