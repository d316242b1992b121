"""Everything that Darkroom asks of other machines goes by the proxies that the environment names."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from service.errors import InvokeGatewayRefused, InvokeUnreachable
from service.invokeai.client import Gateway, InvokeClient
from service.invokeai.subscription import Subscription, SubscriptionState
from service.pods.provider import NotKnown, ProviderAway
from service.pods.runpod import RunPod, RunPodConfig
from tests.fakes.authority import Authority
from tests.fakes.forward_proxy import ForwardProxy, forward_proxy
from tests.fakes.pictures import png_of
from tests.fakes.raw_invokeai import client_session, free_port
from tests.fakes.reverse_proxy import reverse_proxy
from tests.fakes.scripted import ScriptedInvokeAI

ALL = ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY")


@pytest.fixture
async def proxy(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ForwardProxy]:
    for name in ALL:
        monkeypatch.delenv(name, raising=False)
    async with forward_proxy() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        yield proxy


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with client_session() as session:
        yield session


def named(url: str, host: str = "gpu.example") -> str:
    """A name that the proxy alone finds."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{host}:{parts.port}"


async def asks_everything(client: InvokeClient) -> None:
    """A reading, an upload, which is sent once, a download, and a socket that subscribes."""
    assert (await client.connect()).version == "6.14.2"
    uploaded = await client.upload(png_of(32, 32), "a.png")
    async with client.open_file(uploaded.image_name) as file:
        assert [chunk async for chunk in file.iter()]
    heard: asyncio.Queue[str | None] = asyncio.Queue()
    subscription = Subscription(client, lambda *_: None, lambda *_: None, heard.put_nowait)
    running = asyncio.create_task(subscription.run())
    try:
        assert await asyncio.wait_for(heard.get(), 30) is None
        assert subscription.state is SubscriptionState.CONNECTED
    finally:
        running.cancel()
        await asyncio.wait({running})


async def test_http_is_asked_by_absolute_addresses(
    proxy: ForwardProxy, session: aiohttp.ClientSession, invokeai: ScriptedInvokeAI
) -> None:
    url = named(invokeai.url)
    await asks_everything(InvokeClient(url, timeout=10, session=session))
    asked = [line.split(" ")[:2] for line in proxy.asked]
    assert ["GET", f"{url}/api/v1/app/version"] in asked
    assert any(method == "POST" and target.startswith(f"{url}/api/v1/images/upload") for method, target in asked)
    assert any(target.startswith(f"{url}/api/v1/images/i/") for _, target in asked)
    assert any(target.startswith(f"{url}/ws/socket.io/") for _, target in asked)


async def test_https_is_asked_through_a_tunnel(
    proxy: ForwardProxy, session: aiohttp.ClientSession, invokeai: ScriptedInvokeAI, tmp_path: Path
) -> None:
    authority = Authority(tmp_path / "authority")
    async with reverse_proxy(invokeai.url, tls=authority.server()) as secure:
        url = named(secure.url)
        await asks_everything(InvokeClient(url, timeout=10, session=session, gateway=Gateway(ca_pem=authority.pem)))
        paths = [path for _, path in secure.asked]
    assert {line.rpartition(" ")[0] for line in proxy.asked} == {f"CONNECT {urlsplit(url).netloc}"}
    assert any(path.endswith("/ws/socket.io/") for path in paths)


async def test_loopback_is_asked_past_the_proxy(
    proxy: ForwardProxy, session: aiohttp.ClientSession, invokeai: ScriptedInvokeAI
) -> None:
    for host in ("127.0.0.1", "localhost"):
        await asks_everything(InvokeClient(named(invokeai.url, host), timeout=10, session=session))
    assert proxy.asked == []


async def test_what_no_proxy_spares_is_asked_past_the_proxy(
    proxy: ForwardProxy, session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "gpu.invalid")
    with pytest.raises(InvokeUnreachable):
        await InvokeClient("http://one.gpu.invalid:9090", timeout=10, session=session).version()
    assert proxy.asked == []


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_with_a_login_gets_it_and_says_when_it_is_wrong(
    proxy: ForwardProxy,
    session: aiohttp.ClientSession,
    invokeai: ScriptedInvokeAI,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    scheme: str,
) -> None:
    proxy.wanted = f"Basic {base64.b64encode(b'user:pass word').decode()}"
    authority = Authority(tmp_path / "authority")
    async with reverse_proxy(invokeai.url, tls=authority.server()) as secure:
        url = named(secure.url if scheme == "https" else invokeai.url)
        client = InvokeClient(url, timeout=10, session=session, gateway=Gateway(ca_pem=authority.pem))
        with pytest.raises((InvokeGatewayRefused, InvokeUnreachable), match="the proxy that HTTP"):
            await client.version()
        host = urlsplit(proxy.url).netloc
        for name in ("HTTP_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, f"http://user:pass%20word@{host}")
        assert await client.version() == "6.14.2"


async def test_a_proxy_that_is_away_is_named_and_its_password_is_not(
    proxy: ForwardProxy, session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://user:secret@127.0.0.1:{free_port()}")
    client = InvokeClient("http://gpu.example:9090", timeout=10, session=session)
    with pytest.raises(InvokeUnreachable, match="the proxy that HTTP_PROXY or HTTPS_PROXY names cannot be") as raised:
        await client.queue_status()
    assert "secret" not in str(raised.value)
    monkeypatch.setenv("HTTP_PROXY", "socks5://user:secret@127.0.0.1:1080")
    with pytest.raises(InvokeUnreachable, match="HTTP_PROXY names a proxy of a kind") as raised:
        await client.queue_status()
    assert "secret" not in str(raised.value)


async def test_a_refused_tunnel_never_makes_a_submission_doubtful(
    proxy: ForwardProxy, session: aiohttp.ClientSession
) -> None:
    """It was certainly not sent."""
    proxy.wanted = "Basic nobody"
    with pytest.raises(InvokeUnreachable):
        await InvokeClient("https://gpu.example", timeout=10, session=session).enqueue_batch({"batch": {}})
    assert len(proxy.asked) == 1


async def test_a_pods_provider_is_asked_by_the_proxy(proxy: ForwardProxy, session: aiohttp.ClientSession) -> None:
    proxy.wanted = "Basic nobody"
    config = RunPodConfig(api_key="key", pod_id="pod", api_url="https://api.runpod.example/v2")
    provider = RunPod(config, session)
    with pytest.raises(ProviderAway):
        await provider.read()
    outcome: Any = await provider.start()
    assert isinstance(outcome, NotKnown)
    assert proxy.asked == ["CONNECT api.runpod.example:443 HTTP/1.1"] * 2
