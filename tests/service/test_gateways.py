"""Gateways before InvokeAI: what is sent to them, to whom it is never sent, and whose refusal is whose."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
import structlog
from aiohttp import web

from service.backends import routes
from service.backends.registry import Registry
from service.backends.schemas import BackendCreate
from service.bus.bus import Bus
from service.database.engine import Connection, Database
from service.errors import InvokeGatewayRefused, InvokeNotFound, InvokeUnauthorized
from service.invokeai.client import Credentials, Gateway, InvokeClient
from tests.fakes.authority import Authority
from tests.fakes.multiuser import Account, MultiUser
from tests.fakes.pictures import png_of
from tests.fakes.pod_orders import PodOrders
from tests.fakes.process import ROOT
from tests.fakes.raw_invokeai import QUEUE, RawInvokeAI, client_session, page, raw_invokeai, text
from tests.fakes.raw_invokeai import json as json_answer
from tests.fakes.reverse_proxy import Fault, ReverseProxy, reverse_proxy
from tests.fakes.scripted import ScriptedInvokeAI
from tests.fakes.served import served

USERNAME, PASSWORD = "dark", "röom: with a colon"
BASIC = f"Basic {base64.b64encode(f'{USERNAME}:{PASSWORD}'.encode()).decode()}"
LOGIN = {"username": USERNAME, "password": PASSWORD}
ACCESS = {"CF-Access-Client-Id": "an-id.access", "CF-Access-Client-Secret": "an-access-secret"}
VERSION = "/api/v1/app/version"


class Gatekeeper:
    """Lets in what brings these headers, and keeps what everything brought."""

    def __init__(self, wanted: dict[str, str]) -> None:
        self.wanted = wanted
        self.seen: list[tuple[str, dict[str, str]]] = []

    async def __call__(self, request: web.Request) -> web.StreamResponse | None:
        self.seen.append((request.path, dict(request.headers)))
        if all(request.headers.get(name) == value for name, value in self.wanted.items()):
            return None
        refusal = "<html><h1>401 Authorization Required</h1></html>"
        headers = {"WWW-Authenticate": 'Basic realm="before InvokeAI"'}
        return web.Response(status=401, text=refusal, content_type="text/html", headers=headers)

    @property
    def turned_away(self) -> list[str]:
        return [
            path
            for path, headers in self.seen
            if any(headers.get(name) != value for name, value in self.wanted.items())
        ]


@pytest.fixture
async def client(database: Database, registry: Registry, bus: Bus) -> AsyncIterator[aiohttp.ClientSession]:
    around = {"bus": bus, "pods": PodOrders(), "sessions": None}
    async with served(routes.routes, database=database, registry=registry, **around) as client:
        yield client


async def answer(response: aiohttp.ClientResponse, status: int) -> Any:
    body = await response.json()
    assert response.status == status, body
    return body


async def until(client: aiohttp.ClientSession, backend: str, is_so: Callable[[Any], bool]) -> Any:
    async with asyncio.timeout(30):
        while not is_so(found := await answer(await client.get(f"/api/v1/backends/{backend}"), 200)):
            await asyncio.sleep(0.02)
    return found


async def until_heard(keeper: Gatekeeper) -> None:
    """Its websocket has come by."""
    async with asyncio.timeout(30):
        while not any(path.endswith("/ws/socket.io/") for path, _ in keeper.seen):
            await asyncio.sleep(0.02)


@asynccontextmanager
async def gateway(upstream: str, *faults: Fault) -> AsyncIterator[ReverseProxy]:
    async with reverse_proxy(upstream) as proxy:
        proxy.faults = list(faults)
        yield proxy


# --- what is sent ---


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (LOGIN, {"Authorization": BASIC}),
        ({"headers": ACCESS}, ACCESS),
        (LOGIN | {"headers": ACCESS}, ACCESS | {"Authorization": BASIC}),
        ({"headers": {"Authorization": "Bearer of-a-proxy"}}, {"Authorization": "Bearer of-a-proxy"}),
    ],
    ids=["basic auth", "headers", "both", "another scheme"],
)
async def test_a_gateway_is_passed_by_every_kind_of_request(
    invokeai: ScriptedInvokeAI, given: dict[str, Any], wanted: dict[str, str]
) -> None:
    keeper = Gatekeeper(wanted)
    async with gateway(invokeai.url, keeper) as proxy, client_session() as session:
        client = InvokeClient(proxy.url, timeout=10, session=session, gateway=Gateway(**given))
        assert (await client.connect()).version == "6.14.2"
        await client.models()
        uploaded = await client.upload(png_of(32, 32), "a.png")
        async with client.open_file(uploaded.image_name) as file:
            assert b"".join([chunk async for chunk in file.iter()]).startswith(b"\x89PNG")
    paths = [path for path, _ in keeper.seen]
    assert "/api/v1/images/upload" in paths
    assert f"/api/v1/images/i/{uploaded.image_name}/full" in paths
    assert keeper.turned_away == []


async def test_a_server_behind_a_gateway_is_connected_and_heard(
    client: aiohttp.ClientSession, invokeai: ScriptedInvokeAI
) -> None:
    keeper = Gatekeeper({"Authorization": BASIC, **ACCESS})
    async with gateway(invokeai.url, keeper) as proxy:
        body = {"url": proxy.url, "gateway": LOGIN | {"headers": ACCESS}}
        assert (await answer(await client.post("/api/v1/backends/test", json=body), 200))["version"] == "6.14.2"
        created = await answer(await client.post("/api/v1/backends", json=body), 201)
        assert created["has_gateway"] is True
        await until(client, created["id"], lambda now: now["state"] == "connected")
        await until_heard(keeper)
        await answer(await client.post(f"/api/v1/backends/{created['id']}/test"), 200)
        assert keeper.turned_away == []
        assert (await until(client, created["id"], lambda now: now["ledger"]["home"]))["troubles"] == []


async def test_a_private_authority_is_trusted_for_its_server_alone(
    client: aiohttp.ClientSession, invokeai: ScriptedInvokeAI, tmp_path: Path
) -> None:
    authority, other = Authority(tmp_path / "one"), Authority(tmp_path / "other", "Another authority")
    keeper = Gatekeeper({})
    async with reverse_proxy(invokeai.url, tls=authority.server()) as proxy:
        proxy.faults = [keeper]
        for given in (None, {"ca_pem": other.pem}):
            body = {"url": proxy.url} | ({"gateway": given} if given else {})
            refused = await answer(await client.post("/api/v1/backends/test", json=body), 502)
            assert "certificate" in refused["error"]["message"]
            assert "SSL_CERT_FILE" in refused["error"]["message"]
        body = {"url": proxy.url, "gateway": {"ca_pem": other.pem + authority.pem}}
        created = await answer(await client.post("/api/v1/backends", json=body), 201)
        await until(client, created["id"], lambda now: now["state"] == "connected")
        await until_heard(keeper)


ASK = """
import asyncio, sys, aiohttp
from service.invokeai.client import Gateway, InvokeClient

async def main():
    async with aiohttp.ClientSession() as session:
        print(await InvokeClient(sys.argv[1], timeout=10, session=session).version())

asyncio.run(main())
"""


async def test_an_authority_of_ssl_cert_file_is_trusted_for_every_server(
    invokeai: ScriptedInvokeAI, tmp_path: Path
) -> None:
    authority = Authority(tmp_path / "one")
    (tmp_path / "bundle.pem").write_text(authority.pem)
    async with reverse_proxy(invokeai.url, tls=authority.server()) as proxy:
        asking = await asyncio.create_subprocess_exec(
            sys.executable, "-c", ASK, proxy.url, cwd=ROOT, stdout=asyncio.subprocess.PIPE,
            env=dict(os.environ) | {"SSL_CERT_FILE": str(tmp_path / "bundle.pem")},
        )  # fmt: skip
        said, _ = await asyncio.wait_for(asking.communicate(), 60)
    assert said == b"6.14.2\n"


# --- to whom it is not sent ---


async def test_what_was_given_for_one_origin_is_sent_to_no_other(
    client: aiohttp.ClientSession, invokeai: ScriptedInvokeAI
) -> None:
    keeper, elsewhere = Gatekeeper({"Authorization": BASIC, **ACCESS}), Gatekeeper({})
    async with gateway(invokeai.url, keeper) as proxy, gateway(invokeai.url, elsewhere) as other:
        body = {"url": proxy.url, "gateway": LOGIN | {"headers": ACCESS}}
        created = await answer(await client.post("/api/v1/backends", json=body), 201)
        url = f"/api/v1/backends/{created['id']}"
        await until(client, created["id"], lambda now: now["state"] == "connected")
        moved = await answer(await client.patch(url, json={"url": other.url}), 200)
        assert moved["has_gateway"] is False
        await until(client, created["id"], lambda now: now["state"] == "connected")
        await until_heard(elsewhere)
        await answer(await client.post(f"{url}/test"), 200)
        sent = json.dumps(elsewhere.seen)
        for secret in (BASIC, "Authorization", *ACCESS, *ACCESS.values()):
            assert secret not in sent
        back = await answer(await client.patch(url, json={"url": proxy.url}), 200)
        assert back["has_gateway"] is True
        await until(client, created["id"], lambda now: now["state"] == "connected")


async def test_it_goes_along_no_redirect(client: aiohttp.ClientSession, invokeai: ScriptedInvokeAI) -> None:
    elsewhere = Gatekeeper({})
    async with gateway(invokeai.url, elsewhere) as other:

        async def redirects(request: web.Request) -> web.StreamResponse:
            raise web.HTTPTemporaryRedirect(f"{other.url}{request.raw_path}")

        async with gateway(invokeai.url, redirects) as proxy:
            body = {"url": proxy.url, "gateway": LOGIN | {"headers": ACCESS}}
            refused = await answer(await client.post("/api/v1/backends/test", json=body), 502)
            assert refused["error"]["details"] == {"reason": "gateway"}
            created = await answer(await client.post("/api/v1/backends", json=body), 201)
            await until(client, created["id"], lambda now: now["state"] == "unauthorized")
            # The handshake alone is redirected.
            proxy.faults = [lambda request: redirects(request) if "/ws/" in request.path else _none()]
            await answer(await client.post(f"/api/v1/backends/{created['id']}/look"), 202)
            await until(client, created["id"], lambda now: [t["code"] for t in now["troubles"]] == ["no_events"])
    assert elsewhere.seen == []


async def _none() -> None:
    return None


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as entries:
        yield entries


async def test_what_a_gateway_was_given_is_never_shown_nor_logged(
    client: aiohttp.ClientSession, connection: Connection, registry: Registry, logged: list[Any]
) -> None:
    given = LOGIN | {"headers": ACCESS}

    async def repeats(request: web.Request) -> web.StreamResponse:
        """A refusal of one of InvokeAI's routes in words that repeat what was sent."""
        return web.json_response({"detail": f"not with {dict(request.headers)}"}, status=400)

    async with gateway("http://127.0.0.1:9", repeats) as proxy:
        body = {"url": proxy.url, "gateway": given}
        created = await client.post("/api/v1/backends", json=body)
        backend = (await answer(created, 201))["id"]
        url = f"/api/v1/backends/{backend}"
        await until(client, backend, lambda now: now["error"] is not None)
        shown = [
            await created.text(),
            await (await client.get(url)).text(),
            await (await client.get("/api/v1/backends")).text(),
            await (await client.post(f"{url}/test")).text(),
            await (await client.post("/api/v1/backends/test", json=body)).text(),
            await (await client.patch(url, json={"gateway": {"headers": {"Host": "an-access-secret"}}})).text(),
            await (await client.patch(url, json={"gateway": {"headers": {"X": "an-access-secret\r\n"}}})).text(),
            await (await client.patch(url, json={"gateway": {"ca_pem": "an-access-secret"}})).text(),
            repr(registry.connections()[0].client.gateway),
            repr(registry.connections()[0].row),
            repr(msgspec.convert(body, BackendCreate)),
            repr(logged),
        ]
    assert "not with" in shown[1], "its words are told"
    for words in shown:
        for secret in (PASSWORD, BASIC.partition(" ")[2], *ACCESS.values()):
            assert secret not in words
    kept = await connection.fetchval("SELECT gateways->>substring(url from '^[a-z]+://[^/]+') FROM backends")
    assert json.loads(kept) == given


# --- what can be given ---


async def test_of_a_gateway_what_is_left_out_stays_and_null_forgets(
    client: aiohttp.ClientSession, connection: Connection
) -> None:
    body = {"url": "http://127.0.0.1:9", "enabled": False, "gateway": LOGIN | {"headers": ACCESS}}
    url = f"/api/v1/backends/{(await answer(await client.post('/api/v1/backends', json=body), 201))['id']}"

    async def after(gateway: Any) -> Any:
        await answer(await client.patch(url, json={"gateway": gateway}), 200)
        return await connection.fetchval("SELECT gateways->'http://127.0.0.1:9' FROM backends")

    assert await after({}) == LOGIN | {"headers": ACCESS}
    assert await after({"password": "another"}) == {"username": USERNAME, "password": "another", "headers": ACCESS}
    assert await after({"headers": {"X-Key": "one"}}) == {
        "username": USERNAME,
        "password": "another",
        "headers": {"X-Key": "one"},
    }
    assert await after({"username": None}) == {"headers": {"X-Key": "one"}}
    assert await after(None) is None
    assert (await answer(await client.get(url), 200))["has_gateway"] is False


IMPOSSIBLE: list[tuple[dict[str, Any], str]] = [
    ({"password": "without a name"}, "username"),
    ({"username": "a:b", "password": "c"}, "username"),
    ({"username": "two\nlines", "password": "c"}, "username"),
    ({"username": "a", "password": "c\r\nX: y"}, "password"),
    ({"username": "x" * 201, "password": "c"}, "username"),
    ({"username": "a", "password": "c" * 1001}, "password"),
    *[
        ({"headers": {name: "x"}}, "headers")
        for name in (
            "Host",
            "content-length",
            "Connection",
            "TE",
            "Transfer-Encoding",
            "Upgrade",
            "Keep-Alive",
            "Proxy-Authorization",
            "Sec-WebSocket-Key",
            "Content-Type",
            "Expect",
            "a b",
            "",
            "a:",
            "ä",
            "X\r\nY",
            "x" * 101,
        )
    ],
    *[({"headers": {"X": value}}, "headers") for value in ("a\r\nHost: b", "a\nb", " a", "a ", "", "ä", "x" * 4001)],
    ({"headers": {"X": "1", "x": "2"}}, "headers"),
    ({"headers": {f"X-{number}": "x" for number in range(21)}}, "headers"),
    ({"headers": {f"X-{number}": "x" * 3000 for number in range(3)}}, "headers"),
    (LOGIN | {"headers": {"authorization": "Bearer x"}}, "headers"),
    ({"ca_pem": "no certificate"}, "ca_pem"),
    ({"ca_pem": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}, "ca_pem"),
    ({"ca_pem": "é"}, "ca_pem"),
    ({"ca_pem": "x" * 65_537}, "ca_pem"),
]


async def test_what_no_gateway_can_have_is_refused_at_its_field(client: aiohttp.ClientSession) -> None:
    for given, field in IMPOSSIBLE:
        body = {"url": "http://127.0.0.1:9", "gateway": given}
        for url in ("/api/v1/backends", "/api/v1/backends/test"):
            refused = await answer(await client.post(url, json=body), 400)
            assert refused["error"]["details"]["field"] == f"gateway.{field}", (given, refused)
    assert (await answer(await client.get("/api/v1/backends"), 200))["total"] == 0


async def test_an_authoritys_private_key_is_refused_in_words(client: aiohttp.ClientSession, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    body = {"url": "http://127.0.0.1:9", "gateway": {"ca_pem": authority.pem + authority.key_pem}}
    refused = await answer(await client.post("/api/v1/backends", json=body), 400)
    assert "private key" in refused["error"]["message"]


# --- whose refusal it is ---

BASIC_ASKED = {"WWW-Authenticate": 'Basic realm="x"'}


@pytest.fixture
async def raw() -> AsyncIterator[RawInvokeAI]:
    async with raw_invokeai() as server:
        yield server


def html(status: int, **headers: str) -> Any:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text="<html>Sign in</html>", content_type="text/html", headers=headers)

    return answer


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        (html(401, **BASIC_ASKED), "asks for a login"),
        (json_answer({"detail": "no"}, 401, **BASIC_ASKED), "asks for a login"),
        (text("", 401, **{"WWW-Authenticate": "Negotiate"}), "asks for a login"),
        (html(401), "asks for a login"),
        (text("Unauthorized", 401, **{"WWW-Authenticate": "Bearer"}), "asks for a login"),
        (html(403), "asks for a login"),
        (html(403, **BASIC_ASKED), "asks for a login"),
        (text("", 302, Location="https://team.example/cdn-cgi/access/login?secret=1"), "https://team.example/cdn-cgi"),
        (text("", 407, **{"Proxy-Authenticate": "Basic"}), "HTTP_PROXY"),
    ],
)
async def test_a_gateways_refusal_is_named_as_the_gateways(
    raw: RawInvokeAI, client: aiohttp.ClientSession, refusal: Any, words: str
) -> None:
    raw.on(VERSION, refusal)
    async with client_session() as session:
        with pytest.raises(InvokeGatewayRefused, match=words) as raised:
            await InvokeClient(raw.url, credentials=Credentials("a", "b"), timeout=5, session=session).connect()
    assert "secret=1" not in str(raised.value)
    assert raw.to("/api/v1/auth/login") == [], "InvokeAI's login is not given to it"
    refused = await answer(await client.post("/api/v1/backends/test", json={"url": raw.url}), 502)
    assert refused["error"]["details"] == {"reason": "gateway"}


async def test_a_login_that_a_gateway_does_not_take_is_told_as_such(raw: RawInvokeAI) -> None:
    raw.on(VERSION, html(401, **BASIC_ASKED))
    async with client_session() as session:
        client = InvokeClient(raw.url, timeout=5, session=session, gateway=Gateway(**LOGIN))
        with pytest.raises(InvokeGatewayRefused, match="does not take the login"):
            await client.connect()


async def test_a_gateways_page_is_told_as_such(raw: RawInvokeAI, client: aiohttp.ClientSession) -> None:
    raw.on(VERSION, page)
    refused = await answer(await client.post("/api/v1/backends/test", json={"url": raw.url}), 502)
    assert refused["error"]["details"] == {"reason": "not_invokeai"}
    assert "gateway before it" in refused["error"]["message"]


async def test_a_redirect_to_https_names_the_address_to_give(raw: RawInvokeAI, client: aiohttp.ClientSession) -> None:
    there = raw.url.replace("http://", "https://") + VERSION
    raw.on(VERSION, text("", 301, Location=there))
    refused = await answer(await client.post("/api/v1/backends/test", json={"url": raw.url}), 502)
    assert f"it redirects to {there}: give an address that begins with https" in refused["error"]["message"]


@pytest.mark.parametrize("headers", [{}, {"WWW-Authenticate": "Bearer"}])
async def test_invokeais_own_401_is_not_taken_for_a_gateways(
    raw: RawInvokeAI, client: aiohttp.ClientSession, headers: dict[str, str]
) -> None:
    raw.serves("/api/v1/auth/status")
    raw.on("/api/v1/auth/status", json_answer({"multiuser_enabled": True}))
    raw.on(f"{QUEUE}/status", json_answer({"detail": "Authentication required"}, 401, **headers))
    refused = await answer(await client.post("/api/v1/backends/test", json={"url": raw.url}), 502)
    assert refused["error"]["details"] == {"reason": "login"}


async def test_a_short_password_of_a_gateway_changes_no_meaning_of_what_invokeai_says(raw: RawInvokeAI) -> None:
    """`ai` is in `detail`, too: an image that is gone would pass for a route that is not there."""
    raw.on("/api/v1/images/i/a.png", json_answer({"detail": "said ai"}, 404))
    async with client_session() as session:
        gateway = Gateway(username="ai", password="ai")
        client = InvokeClient(raw.url, timeout=5, session=session, gateway=gateway)
        with pytest.raises(InvokeNotFound) as raised:
            await client.image("a.png")
    assert "s...d ..." in str(raised.value)


async def test_a_403_about_one_request_is_no_gateways_login(raw: RawInvokeAI) -> None:
    """A firewall's page about the words of one request would else keep a step waiting for ever."""
    raw.serves()
    raw.on("/api/v2/models/", html(403))
    async with client_session() as session:
        with pytest.raises(Exception, match="web page") as raised:
            await InvokeClient(raw.url, timeout=5, session=session).models()
    assert not isinstance(raised.value, InvokeUnauthorized)


# --- beside InvokeAI's own login ---


async def test_a_gateway_with_headers_stands_before_a_multiuser_server(tmp_path: Path) -> None:
    users = MultiUser([Account("owner@example.com", "secret", is_admin=True)])
    server = ScriptedInvokeAI(tmp_path / "multiuser", multiuser=users)
    await server.start()
    keeper = Gatekeeper(ACCESS)
    async with gateway(server.url, keeper) as proxy, client_session() as session:
        credentials = Credentials("owner@example.com", "secret")
        client = InvokeClient(proxy.url, "default", credentials, 10, session=session, gateway=Gateway(headers=ACCESS))
        assert (await client.connect()).multiuser
        assert keeper.turned_away == []
    await server.stop()


async def test_basic_auth_before_a_multiuser_server_is_refused_in_words(tmp_path: Path) -> None:
    """One header would have to carry two logins."""
    users = MultiUser([Account("owner@example.com", "secret", is_admin=True)])
    server = ScriptedInvokeAI(tmp_path / "multiuser", multiuser=users)
    await server.start()
    keeper = Gatekeeper({"Authorization": BASIC})
    async with gateway(server.url, keeper) as proxy, client_session() as session:
        credentials = Credentials("owner@example.com", "secret")
        client = InvokeClient(proxy.url, "default", credentials, 10, session=session, gateway=Gateway(**LOGIN))
        with pytest.raises(InvokeUnauthorized, match="same header") as raised:
            await client.connect()
        assert not isinstance(raised.value, InvokeGatewayRefused)
        assert "secret" not in json.dumps(keeper.seen)
    await server.stop()
