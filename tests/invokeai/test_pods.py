"""A rented machine whose InvokeAI is a real one: a stand-in RunPod before it, and Darkroom in a process of its own.

The real server runs on while the pod is stopped: it is then only not shown. At each stop the stand-in asks InvokeAI
itself what is there, and Darkroom for the bytes of each of those images.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web

from service.demo.answers import Handler
from tests.fakes import answers, batches, provider_answers
from tests.fakes.process import DarkroomProcess
from tests.fakes.provider import FakeProvider, Phase, fake_provider
from tests.fakes.raw_invokeai import free_port
from tests.fakes.rules import Answer
from tests.invokeai.server import RealInvokeAI
from tests.invokeai.test_real_server import fresh_seed

pytestmark = [pytest.mark.invokeai, pytest.mark.timeout(900)]

Json = dict[str, Any]

BEYOND_IDLE = 25
"""Seconds in which an idle pod would have been stopped: 6 without work, and the next check within 5."""


class Rented:
    """One pod in Darkroom, before the real server."""

    def __init__(self, darkroom: DarkroomProcess, invokeai: RealInvokeAI, fake: FakeProvider) -> None:
        self.darkroom = darkroom
        self.invokeai = invokeai
        self.fake = fake
        self.backend_id = ""
        self.before: set[str] = set()
        self.at_stops: list[int] = []
        """How many images there were to be looked for, at each stop that was carried out."""

    async def add(self) -> None:
        status, answer = await self.darkroom.call("PATCH", "/api/v1/settings", {"idle_check_seconds": 5})
        assert status == 200, answer
        body = {
            "name": "rented",
            "kind": "runpod",
            "url": self.fake.proxy.url,
            "provider": self.fake.config,
            "idle_minutes": 0.1,
            "mirror": "all",
            "gateway": self.invokeai.gateway,
        }
        self.backend_id = (await self.darkroom.post("/backends", body))["id"]
        self.before = await self.there()
        self.fake.not_home = self.not_home

    async def generate(self, batch_size: int, **parameters: Any) -> str:
        """A step for it; its id."""
        model = await self.invokeai.model("sd-1")
        size = {"width": 64, "height": 64, "steps": 4, "seed": fresh_seed()}
        step = await self.darkroom.generate(
            model, backend_id=self.backend_id, batch_size=batch_size, parameters=size | parameters
        )
        return str(step["id"])

    async def backend(self) -> Json:
        return dict(await self.darkroom.get(f"/backends/{self.backend_id}"))

    async def until_pod(self, seconds: float = 120, **wanted: Any) -> Json:
        """The pod, once these of its fields are so; a callable is asked."""

        async def is_so() -> Json | None:
            pod = (await self.backend())["pod"]
            fits = (value(pod[name]) if callable(value) else pod[name] == value for name, value in wanted.items())
            return pod if all(fits) else None

        try:
            return dict(await self.darkroom.until(is_so, seconds))
        except AssertionError as error:
            raise AssertionError(f"wanted {wanted}: {await self.backend()}\n{error}") from None

    async def until_stopped(self) -> Json:
        """By itself."""
        return await self.until_pod(state="stopped", wanted=None)

    async def until_home(self, step_id: str, count: int) -> None:
        """So many images of the step, byte for byte as InvokeAI has them."""
        step = await self.darkroom.until_step(step_id, "completed")
        assert len({photo["invoke_id"] for photo in step["alternatives"]}) == count
        for photo in step["alternatives"]:
            assert await self.darkroom.file(photo) == await self.invokeai.file(photo["invoke_id"])

    async def there(self) -> set[str]:
        """The newest images at InvokeAI."""
        page = await self.invokeai.call("GET", "/api/v1/images/?limit=50&is_intermediate=false&starred_first=false")
        return {image["image_name"] for image in page["items"]}

    async def not_home(self) -> list[str]:
        """What a stop at this moment would lose or lock in: an item in the queue, an image not home whole."""
        try:
            queue = (await self.invokeai.queue("GET", "status"))["queue"]
            live = queue["pending"] + queue["in_progress"]
            made = await self.there() - self.before
            photos = {photo["invoke_id"]: photo for photo in await self.darkroom.photos()}
            lost = [f"{live} items in the queue"] if live else []
            for name in made:
                photo = photos.get(name, {"retrieval_status": "unknown"})
                if photo["retrieval_status"] != "completed":
                    lost.append(f"{name} is {photo['retrieval_status']}")
                elif await self.darkroom.file(photo) != await self.invokeai.file(name):
                    lost.append(f"{name} has other bytes")
        except (aiohttp.ClientError, TimeoutError, AssertionError) as error:
            return [f"nobody could look: {error!r}"]
        self.at_stops.append(len(made))
        return lost

    def enqueued(self) -> int:
        """How often something was submitted through the proxy."""
        return sum(method == "POST" and path.endswith("enqueue_batch") for method, path in self.fake.proxy.asked)


@pytest.fixture
async def fake(invokeai: RealInvokeAI) -> AsyncIterator[FakeProvider]:
    async with fake_provider(invokeai.address) as fake:
        yield fake
        fake.assert_harmless()


@pytest.fixture
async def darkroom(fake: FakeProvider, public_folder: Path) -> AsyncIterator[DarkroomProcess]:
    """It knows the real server by the pod alone: nothing is at the address it begins with."""
    nothing = f"http://127.0.0.1:{free_port()}"
    process = DarkroomProcess(public_folder / "data", DARKROOM_INVOKEAI_URL=nothing)
    await process.start()
    yield process
    await process.stop()
    lines = [msgspec.json.decode(line) for line in process.log.read_bytes().splitlines() if line.startswith(b"{")]
    assert [line for line in lines if line["level"] in ("error", "critical")] == []


@pytest.fixture
async def rented(darkroom: DarkroomProcess, invokeai: RealInvokeAI, fake: FakeProvider) -> Rented:
    rented = Rented(darkroom, invokeai, fake)
    await rented.add()
    await rented.until_pod(state="stopped")
    return rented


@asynccontextmanager
async def paused(invokeai: RealInvokeAI) -> AsyncIterator[None]:
    """What is enqueued waits there."""
    await invokeai.queue("PUT", "processor/pause")
    try:
        yield
    finally:
        await invokeai.queue("PUT", "processor/resume")


async def test_three_pictures_come_home_from_a_stopped_pod_it_stops_by_itself_and_starts_for_the_next_step(
    rented: Rented, fake: FakeProvider
) -> None:
    step_id = ""
    told: list[tuple[str, str, Any]] = []

    def noted(name: str, answer: Answer) -> Phase:
        async def noting(request: web.Request, handler: Handler) -> web.StreamResponse:
            step = await rented.darkroom.get(f"/steps/{step_id}")
            told.append((name, (await rented.backend())["state"], step["submitted_at"]))
            return await answer(request, handler)

        return Phase(noting, requests=2)

    fake.phases = [
        noted("404", provider_answers.empty(404)),
        noted("502", provider_answers.gateway(502)),
        noted("page", provider_answers.page(200)),
    ]
    step_id = await rented.generate(3)
    running = await rented.until_pod(state="running")
    assert running["cost_per_hour"] == fake.fields["cost"]
    await rented.until_home(step_id, 3)
    assert [name for name, _, _ in told] == ["404", "404", "502", "502", "page", "page"]
    assert all(state != "connected" and submitted is None for _, state, submitted in told), told
    assert (fake.orders, rented.enqueued()) == (["start"], 1)
    stopped = await rented.until_stopped()
    assert (fake.orders, fake.status, rented.at_stops) == (["start", "stop"], "EXITED", [3])
    assert stopped["cost_run"] > 0
    backend = await rented.backend()
    assert (backend["state"], backend["error"]) == ("unreachable", "its pod is stopped")
    assert backend["ledger"]["home"], backend

    fake.phases = [Phase(provider_answers.gateway(502), requests=2)]
    again = await rented.generate(3)
    await rented.until_home(again, 3)
    assert (await rented.backend())["pod"]["saved"] > 0
    await rented.until_stopped()
    assert (fake.orders, fake.status, rented.at_stops) == (["start", "stop"] * 2, "EXITED", [3, 6])
    assert rented.enqueued() == 2


async def test_a_start_that_finds_no_gpu_twice_works_the_third_time(rented: Rented, fake: FakeProvider) -> None:
    refused = fake.on("start", provider_answers.no_gpu(), times=2)
    step_id = await rented.generate(2)
    waiting = await rented.until_pod(words="No free GPU on its host")
    assert (waiting["state"], waiting["wanted"]) == ("starting", "running")
    assert waiting["next_try_at"] < waiting["give_up_at"]
    await refused.wait(2, 60)
    assert rented.enqueued() == 0
    await rented.until_home(step_id, 2)
    await rented.until_stopped()
    assert (fake.orders, rented.at_stops) == (["start"] * 3 + ["stop"], [2])


async def test_darkroom_killed_while_its_pod_works_brings_all_home_afterwards_and_stops_it(
    rented: Rented, fake: FakeProvider, invokeai: RealInvokeAI
) -> None:
    step_id = await rented.generate(4, steps=20)

    async def midway() -> bool:
        step = await rented.darkroom.get(f"/steps/{step_id}")
        return bool(step["alternatives"]) and any(item["status"] == "in_progress" for item in step["items"])

    await rented.darkroom.until(midway)
    await rented.darkroom.kill()
    await invokeai.until_idle()
    assert (fake.orders, fake.status) == (["start"], "RUNNING")
    await rented.darkroom.start()
    await rented.until_home(step_id, 4)
    await rented.until_stopped()
    assert (fake.orders, fake.status, rented.at_stops) == (["start", "stop"], "EXITED", [4])
    assert rented.enqueued() == 1


async def test_darkroom_killed_in_the_middle_of_its_order_to_start_and_to_stop_gives_neither_twice(
    rented: Rented, fake: FakeProvider
) -> None:
    ordered = asyncio.Event()

    async def unheard(request: web.Request, handler: Handler) -> web.StreamResponse:
        """It is carried out, and no answer comes."""
        await handler(request)
        ordered.set()
        return await provider_answers.silent()(request, handler)

    async def killed_and_back() -> None:
        await asyncio.wait_for(ordered.wait(), 120)
        ordered.clear()
        await rented.darkroom.kill()
        await rented.darkroom.start()

    fake.on("start", unheard)
    fake.on("stop", unheard)
    step_id = await rented.generate(2)
    await killed_and_back()
    await rented.until_home(step_id, 2)
    await killed_and_back()
    stopped = await rented.until_stopped()
    assert stopped["saved"] > 0
    assert (fake.orders, fake.status, rented.at_stops) == (["start", "stop"], "EXITED", [2])
    assert rented.enqueued() == 1


async def test_an_item_of_somebody_else_keeps_the_pod_until_it_is_done_and_home(
    rented: Rented, fake: FakeProvider, invokeai: RealInvokeAI
) -> None:
    await rented.until_home(await rented.generate(1), 1)
    graph = batches.text_to_image(await invokeai.model("sd-1"), prompt="somebody else's", seed=fresh_seed())
    async with paused(invokeai):
        await invokeai.queue("POST", "enqueue_batch", batches.batch(graph, origin="webui", destination="gallery"))
        await stays(fake, BEYOND_IDLE)
        stop = f"/api/v1/backends/{rented.backend_id}/stop"
        status, answer = await rented.darkroom.call("POST", stop)
        assert (status, answer["error"]["details"]["home"]) == (409, False), answer
        assert fake.orders == ["start"]
    await rented.until_stopped()
    assert (fake.orders, rented.at_stops) == (["start", "stop"], [2])
    [photo] = [photo for photo in await rented.darkroom.photos() if photo["generation_prompt"] == "somebody else's"]
    assert await rented.darkroom.file(photo) == await invokeai.file(photo["invoke_id"])


async def test_a_picture_whose_file_is_cut_keeps_the_pod_running_and_says_so_until_it_comes(
    rented: Rented, fake: FakeProvider
) -> None:
    cut = fake.on_proxy("/full$", first_of_all(answers.truncated()), times=None)
    step_id = await rented.generate(3)
    refused = await rented.until_pod(stop_refused=lambda words: words is not None)
    assert refused["stop_refused"] == "1 photo is still to be brought home"
    assert (refused["state"], refused["alarm"]) == ("running", None)
    await stays(fake, BEYOND_IDLE)
    backend = await rented.backend()
    assert backend["pod"]["stop_refused"] == "1 photo is still to be brought home"
    assert (backend["ledger"]["waiting"], backend["ledger"]["retrieved"], backend["ledger"]["home"]) == (1, 2, False)
    cut.remove()
    await rented.until_home(step_id, 3)
    stopped = await rented.until_stopped()
    assert stopped["stop_refused"] is None
    assert (fake.orders, rented.at_stops) == (["start", "stop"], [3])


async def stays(fake: FakeProvider, seconds: float) -> None:
    """For so long nobody orders the pod to stop."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while loop.time() < end:
        assert (fake.orders, fake.status) == (["start"], "RUNNING")
        await asyncio.sleep(0.5)


def first_of_all(answer: Answer) -> Answer:
    """For the path that is asked for first, whenever it is; others get what is true."""
    chosen: list[str] = []

    async def answered(request: web.Request, handler: Handler) -> web.StreamResponse:
        chosen[:] = chosen or [request.path]
        return await answer(request, handler) if request.path == chosen[0] else await handler(request)

    return answered
