"""The stand-in provider plays what is known of RunPod: its proxy before an InvokeAI, and how a pod behaves."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from service.errors import InvokeError, InvokeInterrupted, InvokeNotFound
from service.invokeai.client import InvokeClient
from tests.fakes import ScriptedInvokeAI, batches, demo, provider_answers
from tests.fakes.process import ROOT
from tests.fakes.provider import API_KEY, FakeProvider, fake_provider, slow_beginning
from tests.fakes.raw_invokeai import client_session, free_port

SOCKET = "/ws/socket.io/?EIO=4&transport=websocket"
VERSION = "/api/v1/app/version"


@pytest.fixture
async def invokeai(tmp_path: Path) -> AsyncIterator[ScriptedInvokeAI]:
    server = ScriptedInvokeAI(tmp_path / "invokeai")
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def fake(invokeai: ScriptedInvokeAI) -> AsyncIterator[FakeProvider]:
    async with fake_provider(invokeai) as provider:
        yield provider


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with client_session() as session:
        yield session


@pytest.fixture
def client(fake: FakeProvider, http: aiohttp.ClientSession) -> InvokeClient:
    return InvokeClient(fake.proxy.url, session=http, timeout=5)


async def api(http: aiohttp.ClientSession, fake: FakeProvider, method: str, path: str, body: Any = None) -> Any:
    headers = {"Authorization": f"Bearer {API_KEY}", "User-Agent": "tests"}
    async with http.request(method, f"{fake.api_url}{path}", json=body, headers=headers) as answer:
        return answer.status, await answer.json() if answer.content_type.endswith("json") else await answer.text()


async def shown(http: aiohttp.ClientSession, fake: FakeProvider, path: str = VERSION, **headers: str) -> Any:
    async with http.get(f"{fake.proxy.url}{path}", headers=headers) as answer:
        return answer.status, answer.content_type, await answer.read()


# -- the proxy


async def test_invokeai_is_shown_only_while_the_pod_runs(fake: FakeProvider, http: aiohttp.ClientSession) -> None:
    assert await shown(http, fake) == (404, "application/octet-stream", b"")
    await fake.run()
    assert (await shown(http, fake))[:2] == (200, "application/json")
    await fake.exit()
    assert await shown(http, fake) == (404, "application/octet-stream", b"")


async def test_a_socket_passes_and_breaks_when_the_pod_ends(fake: FakeProvider, http: aiohttp.ClientSession) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await http.ws_connect(fake.proxy.url + SOCKET)
    await fake.run()
    async with http.ws_connect(fake.proxy.url + SOCKET) as socket:
        assert (await socket.receive(5)).data.startswith("0{")
        await fake.exit()
        assert (await socket.receive(5)).type in {aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR}


async def test_a_pod_begins_with_answers_that_are_not_invokeais(
    fake: FakeProvider, client: InvokeClient, http: aiohttp.ClientSession
) -> None:
    fake.phases = slow_beginning()
    await fake.run()
    says = [(await shown(http, fake))[:2] for _ in range(7)]
    page = "text/html"
    assert says == [
        *[(404, "application/octet-stream")] * 2,
        *[(502, page)] * 2,
        *[(200, page)] * 2,
        (200, "application/json"),
    ]
    await fake.exit()
    await fake.run()
    refusals = []
    async with asyncio.timeout(20):
        while True:
            try:
                await client.queue_status()
                break
            except InvokeError as error:
                refusals.append(error)
    assert refusals
    assert not any(isinstance(error, InvokeNotFound) for error in refusals)


async def test_a_file_may_be_cut_or_the_gateway_time_out(
    fake: FakeProvider, client: InvokeClient, invokeai: ScriptedInvokeAI
) -> None:
    await fake.run()
    image = invokeai.add_image()
    fake.on_proxy("/full$", provider_answers.gateway(524))
    with pytest.raises(InvokeError):
        await whole_file(client, image.image_name)
    fake.exits_in("/full$")
    with pytest.raises((InvokeInterrupted, aiohttp.ClientError)):
        await whole_file(client, image.image_name)
    assert fake.status == "EXITED"
    await fake.run()
    assert await whole_file(client, image.image_name) == invokeai.images.path(image.image_name).read_bytes()


async def whole_file(client: InvokeClient, name: str) -> bytes:
    async with client.open_file(name) as file:
        return b"".join([piece async for piece in file.iter()])


async def test_cloudflare_turns_urllib_away(fake: FakeProvider, http: aiohttp.ClientSession) -> None:
    await fake.run()
    says = await shown(http, fake, **{"User-Agent": "Python-urllib/3.11"})
    assert (says[0], says[2]) == (403, b"error code: 1010")


# -- what runs in it


async def test_a_start_keeps_what_was_pending_and_runs_it(fake: FakeProvider, invokeai: ScriptedInvokeAI) -> None:
    await fake.run()
    hold = invokeai.hold("denoise")
    graph = batches.text_to_image(demo.sd1(invokeai))
    (item_id,) = (await invokeai.enqueue(batches.batch(graph)))["item_ids"]
    await hold.reached()
    (pending,) = (await invokeai.enqueue(batches.batch(graph)))["item_ids"]
    await fake.exit()
    hold.release()
    await fake.run()
    await invokeai.until_ended(pending)
    assert [invokeai.queue.items[i].status for i in (item_id, pending)] == ["canceled", "completed"]


async def test_a_start_may_wipe_everything(fake: FakeProvider, invokeai: ScriptedInvokeAI) -> None:
    await fake.run()
    image = invokeai.add_image()
    await fake.exit()
    fake.wipes = True
    await fake.run()
    assert invokeai.images.find(image.image_name) is None


async def test_what_is_not_home_at_a_stop_is_found_out(fake: FakeProvider, http: aiohttp.ClientSession) -> None:
    async def not_home() -> list[str]:
        return ["an image"]

    await fake.run()
    fake.not_home = not_home
    fake.on("stop", provider_answers.no_gpu())
    for _ in range(2):
        fake.assert_harmless()
        await api(http, fake, "POST", f"/pods/{fake.pod_id}/action", {"action": "stop"})
    with pytest.raises(AssertionError, match="an image"):
        fake.assert_harmless()


# -- the API


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("DELETE", "/pods/{id}", None, 204),
        ("PATCH", "/pods/{id}", {"image": "x"}, 405),
        ("POST", "/pods", {"image": "x"}, 404),
        ("POST", "/pods/{id}/action", {"action": "terminate"}, 204),
        ("POST", "/pods/{id}/action", {"action": "restart"}, 200),
        ("POST", "/pods/{id}/action", {"action": "start", "x": 1}, 422),
        ("POST", "/pods/{id}/action", {}, 409),
        ("GET", "/pods/other", None, 404),
    ],
)
async def test_what_must_never_be_asked_is_noticed(
    fake: FakeProvider, http: aiohttp.ClientSession, method: str, path: str, body: Any, status: int
) -> None:
    await fake.run()
    fake.assert_harmless()
    assert (await api(http, fake, method, path.format(id=fake.pod_id), body))[0] == status
    with pytest.raises(AssertionError):
        fake.assert_harmless()


async def test_a_terminated_pod_is_not_known_any_more(fake: FakeProvider, http: aiohttp.ClientSession) -> None:
    await fake.run()
    await api(http, fake, "DELETE", f"/pods/{fake.pod_id}")
    assert (await api(http, fake, "GET", f"/pods/{fake.pod_id}"))[0] == 404
    assert (await api(http, fake, "GET", "/pods"))[1]["pods"] == []
    assert (await shown(http, fake))[0] == 404


@pytest.mark.parametrize("paginated", [True, False])
async def test_the_list_has_pages_or_not(fake: FakeProvider, http: aiohttp.ClientSession, paginated: bool) -> None:
    fake.paginated = paginated
    status, listed = await api(http, fake, "GET", "/pods?limit=10")
    assert (status, [pod["id"] for pod in listed["pods"]]) == (200, [fake.pod_id])
    assert ("pagination" in listed) is paginated


async def test_the_pod_goes_on_in_seconds_too(fake: FakeProvider, http: aiohttp.ClientSession) -> None:
    fake.start_seconds = fake.stop_seconds = 0.05
    for action, reached in (("start", "RUNNING"), ("stop", "EXITED")):
        status, pod = await api(http, fake, "POST", f"/pods/{fake.pod_id}/action", {"action": action})
        assert status == 200
        assert pod["status"] != reached
        await fake.until(lambda reached=reached: fake.status == reached)  # type: ignore[misc]


async def test_a_stop_overtakes_a_start(fake: FakeProvider, http: aiohttp.ClientSession) -> None:
    fake.start_seconds, fake.stop_reads = 0.05, 0
    for action in ("start", "stop"):
        await api(http, fake, "POST", f"/pods/{fake.pod_id}/action", {"action": action})
    await asyncio.sleep(0.2)
    assert (fake.status, fake.runs) == ("EXITED", 0)


async def test_it_runs_as_a_program_before_any_server(invokeai: ScriptedInvokeAI, http: aiohttp.ClientSession) -> None:
    port, proxy_port = free_port(), free_port()
    options = ["--upstream", invokeai.url, "--port", str(port), "--proxy-port", str(proxy_port), "--running"]
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.fakes.provider", *options, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert program.stdout is not None
        first = (await asyncio.wait_for(program.stdout.readline(), 30)).decode()
        assert f"http://127.0.0.1:{port}/v2" in first
        async with http.get(f"http://127.0.0.1:{proxy_port}{VERSION}") as answer:
            assert answer.status in {200, 404}
    finally:
        program.send_signal(signal.SIGINT)
        await asyncio.wait_for(program.communicate(), 15)
    assert program.returncode == 0
