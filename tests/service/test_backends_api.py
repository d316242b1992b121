"""Backends over HTTP, with servers that speak InvokeAI's protocol over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest

from service.backends import reach, removal, routes
from service.backends.registry import Registry
from service.bus.bus import Bus
from service.database.engine import Connection, Database
from tests.fakes.multiuser import Account, MultiUser
from tests.fakes.pod_orders import PodOrders
from tests.fakes.rows import add_backend, add_batch, add_item, add_photo, add_session, add_step
from tests.fakes.scripted import ScriptedInvokeAI
from tests.fakes.served import served

NOBODY_THERE = "http://127.0.0.1:9"


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
    async with asyncio.timeout(15):
        while not is_so(found := await answer(await client.get(f"/api/v1/backends/{backend}"), 200)):
            await asyncio.sleep(0.02)
    return found


async def test_a_new_backend_connects_and_shows_how_it_is(
    client: aiohttp.ClientSession, invokeai: ScriptedInvokeAI
) -> None:
    created = await answer(await client.post("/api/v1/backends", json={"url": f"{invokeai.url}/"}), 201)
    assert created["url"] == invokeai.url
    assert created["name"] == invokeai.url.removeprefix("http://")
    assert (created["kind"], created["mirror"], created["enabled"]) == ("server", "all", True)
    connected = await until(client, created["id"], lambda now: now["version"] and now["ledger"]["home"])
    assert connected["state"] == "connected"
    assert connected["last_seen_at"] is not None
    assert connected["ledger"] == {
        "expected": 0,
        "made": 0,
        "retrieved": 0,
        "waiting": 0,
        "failed": 0,
        "gone": 0,
        "home": True,
    }
    assert set(connected["queue"]) >= {"pending", "in_progress", "ours"}
    listed = await answer(await client.get("/api/v1/backends"), 200)
    assert set(listed) == {"items", "total", "limit", "offset", "next_cursor"}
    assert (listed["total"], [found["id"] for found in listed["items"]]) == (1, [created["id"]])


async def test_the_same_queue_of_the_same_server_is_one_backend(client: aiohttp.ClientSession) -> None:
    first = await answer(await client.post("/api/v1/backends", json={"url": NOBODY_THERE, "enabled": False}), 201)
    again = await client.post("/api/v1/backends", json={"url": "HTTP://127.0.0.1:9/"})
    assert (await answer(again, 409))["error"]["code"] == "conflict"
    other = {"url": NOBODY_THERE, "queue_id": "other", "enabled": False}
    second = await answer(await client.post("/api/v1/backends", json=other), 201)
    moved = await client.patch(f"/api/v1/backends/{second['id']}", json={"queue_id": "default"})
    assert (await answer(moved, 409))["error"]["code"] == "conflict"
    assert first["state"] == "disabled"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://Pod.Example:443/proxy/9090/", "https://pod.example/proxy/9090"),
        ("http://[::1]:9090", "http://[::1]:9090"),
        (" http://pod:80 ", "http://pod"),
    ],
)
async def test_a_url_is_kept_in_one_form(client: aiohttp.ClientSession, given: str, kept: str) -> None:
    created = await answer(await client.post("/api/v1/backends", json={"url": given, "enabled": False}), 201)
    assert created["url"] == kept


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"url": ""},
        {"url": "127.0.0.1:9090"},
        {"url": "ftp://pod"},
        {"url": "http://my..server:9090"},
        {"url": f"http://{'a' * 64}.example:9090"},
        {"url": "file:///etc/passwd"},
        {"url": "http://"},
        {"url": "http://me:secret@pod"},
        {"url": "http://pod?x=1"},
        {"url": "http://pod#x"},
        {"url": "http://pod:99999"},
        {"url": "http://po d"},
        {"url": "http://pod\0"},
        {"url": "http://[::1"},
        {"url": NOBODY_THERE, "name": " "},
        {"url": NOBODY_THERE, "queue_id": "../up"},
        {"url": NOBODY_THERE, "mirror": "some"},
        {"url": NOBODY_THERE, "kind": "demo"},
        {"url": NOBODY_THERE, "credentials": {"email": "me@example.org"}},
    ],
)
async def test_what_cannot_be_a_backend_is_refused(client: aiohttp.ClientSession, body: Any) -> None:
    refused = await answer(await client.post("/api/v1/backends", json=body), 400)
    assert refused["error"]["code"] == "validation_error"
    assert (await answer(await client.get("/api/v1/backends"), 200))["total"] == 0


async def test_credentials_are_written_and_never_read(client: aiohttp.ClientSession, connection: Connection) -> None:
    login = {"email": "me@example.org", "password": "quite secret"}
    body = {"url": NOBODY_THERE, "enabled": False, "credentials": login}
    created = await answer(await client.post("/api/v1/backends", json=body), 201)
    url = f"/api/v1/backends/{created['id']}"

    async def kept() -> Any:
        return await connection.fetchval("SELECT logins->url->>'password' FROM backends")

    for response in (await client.get(url), await client.get("/api/v1/backends"), await client.patch(url, json={})):
        assert "secret" not in await response.text()
    assert await kept() == "quite secret"
    await answer(await client.patch(url, json={"name": "pod", "mirror": "own"}), 200)
    assert await kept() == "quite secret"
    await answer(await client.patch(url, json={"credentials": None}), 200)
    assert await kept() is None


async def test_a_disabled_backend_is_let_go_and_an_enabled_one_connects(
    client: aiohttp.ClientSession, invokeai: ScriptedInvokeAI
) -> None:
    created = await answer(await client.post("/api/v1/backends", json={"url": invokeai.url}), 201)
    await until(client, created["id"], lambda now: now["state"] == "connected")
    url = f"/api/v1/backends/{created['id']}"
    off = await answer(await client.patch(url, json={"enabled": False}), 200)
    assert (off["state"], off["enabled"]) == ("disabled", False)
    async with asyncio.timeout(10):
        while invokeai.sockets:
            await asyncio.sleep(0.02)
    await answer(await client.patch(url, json={"enabled": True}), 200)
    await until(client, created["id"], lambda now: now["state"] == "connected")


async def test_a_moved_backend_is_watched_where_it_is_now(
    client: aiohttp.ClientSession, invokeai: ScriptedInvokeAI
) -> None:
    created = await answer(await client.post("/api/v1/backends", json={"url": NOBODY_THERE}), 201)
    await until(client, created["id"], lambda now: now["state"] == "unreachable")
    await answer(await client.patch(f"/api/v1/backends/{created['id']}", json={"url": invokeai.url}), 200)
    await until(client, created["id"], lambda now: now["state"] == "connected")


async def test_what_does_not_exist_is_404(client: aiohttp.ClientSession) -> None:
    url = f"/api/v1/backends/{uuid4()}"
    for response in (
        await client.get(url),
        await client.patch(url, json={"name": "x"}),
        await client.delete(url),
        await client.get(f"{url}/ledger"),
        await client.get(f"{url}/queue"),
        await client.post(f"{url}/test"),
    ):
        assert (await answer(response, 404))["error"]["code"] == "not_found"


async def test_a_test_tells_who_answers_or_why_nobody_does(
    client: aiohttp.ClientSession, connection: Connection, invokeai: ScriptedInvokeAI
) -> None:
    there = await add_backend(connection, url=invokeai.url, enabled=False)
    reached = await answer(await client.post(f"/api/v1/backends/{there}/test"), 200)
    assert (reached["version"], reached["multiuser"]) == ("6.14.2", False)
    assert reached["models"] > 0
    nowhere = await add_backend(connection, url=NOBODY_THERE, enabled=False)
    failed = await answer(await client.post(f"/api/v1/backends/{nowhere}/test"), 502)
    assert failed["error"]["code"] == "invokeai_connection_error"
    assert failed["error"]["message"]


async def test_an_address_is_tested_before_it_is_added(
    client: aiohttp.ClientSession, connection: Connection, invokeai: ScriptedInvokeAI
) -> None:
    async def ask(**body: Any) -> aiohttp.ClientResponse:
        return await client.post("/api/v1/backends/test", json=body)

    reached = await answer(await ask(url=f" {invokeai.url}/ "), 200)
    assert (reached["version"], reached["known_as"]) == ("6.14.2", None)
    assert await connection.fetchval("SELECT count(*) FROM backends") == 0
    assert (await answer(await ask(url="192.168.1.20:9090"), 400))["error"]["code"] == "validation_error"
    for url, reason in ((NOBODY_THERE, "no_answer"), (f"{invokeai.url}/no/such/path", "not_invokeai")):
        failed = await answer(await ask(url=url), 502)
        assert failed["error"]["details"] == {"reason": reason}
        assert url in failed["error"]["message"]

    image = invokeai.add_canvas_save()
    known = await add_backend(connection, url="http://another-name.example:9090", enabled=False)
    await add_photo(connection, backend_id=known, invoke_id=image.image_name)
    assert (await answer(await ask(url=invokeai.url), 200))["known_as"]["id"] == str(known)


async def test_an_address_that_wants_a_login_is_tested_with_one(client: aiohttp.ClientSession, tmp_path: Path) -> None:
    users = MultiUser([Account("owner@example.com", "secret", is_admin=True)])
    server = ScriptedInvokeAI(tmp_path / "multiuser", multiuser=users)
    await server.start()
    body: dict[str, Any] = {"url": server.url}
    failed = await answer(await client.post("/api/v1/backends/test", json=body), 502)
    assert failed["error"]["details"] == {"reason": "login"}
    body["credentials"] = {"email": "owner@example.com", "password": "secret"}
    assert (await answer(await client.post("/api/v1/backends/test", json=body), 200))["multiuser"] is True
    await server.stop()


async def test_a_server_that_is_away_says_when_it_is_tried_again(client: aiohttp.ClientSession) -> None:
    created = await answer(await client.post("/api/v1/backends", json={"url": NOBODY_THERE}), 201)
    waiting = await until(client, created["id"], lambda now: now["next_attempt_at"] is not None)
    assert waiting["state"] == "unreachable"
    assert datetime.fromisoformat(waiting["next_attempt_at"]) <= datetime.now(UTC) + timedelta(seconds=30)


async def test_a_test_signs_in_where_the_server_asks_for_it(
    client: aiohttp.ClientSession, connection: Connection, tmp_path: Path
) -> None:
    users = MultiUser([Account("owner@example.com", "secret", is_admin=True)])
    server = ScriptedInvokeAI(tmp_path / "multiuser", multiuser=users)
    await server.start()
    backend = await add_backend(connection, url=server.url, enabled=False)
    url = f"/api/v1/backends/{backend}"
    refused = await answer(await client.post(f"{url}/test"), 502)
    assert refused["error"]["code"] == "invokeai_connection_error"
    login = {"email": "owner@example.com", "password": "secret"}
    await answer(await client.patch(url, json={"credentials": login}), 200)
    assert (await answer(await client.post(f"{url}/test"), 200))["multiuser"] is True
    await server.stop()


async def test_a_server_that_never_answers_is_not_waited_for(
    client: aiohttp.ClientSession, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    monkeypatch.setattr(reach, "TEST_SECONDS", 0.2)
    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        silent = await add_backend(connection, url=f"http://127.0.0.1:{port}", enabled=False)
        failed = await answer(await client.post(f"/api/v1/backends/{silent}/test"), 502)
    assert "did not answer" in failed["error"]["message"]


async def test_ledger_and_queue_of_one_backend(
    client: aiohttp.ClientSession, connection: Connection, registry: Registry
) -> None:
    backend = await add_backend(connection, enabled=False)
    await registry.reload()
    await add_photo(connection, backend_id=backend)
    await add_photo(connection, backend_id=backend, home=False)
    ledger = await answer(await client.get(f"/api/v1/backends/{backend}/ledger"), 200)
    assert (ledger["made"], ledger["retrieved"], ledger["waiting"], ledger["home"]) == (2, 1, 1, False)
    queue = await answer(await client.get(f"/api/v1/backends/{backend}/queue"), 200)
    assert queue == {"pending": 0, "in_progress": 0, "ours": 0, "items": []}


# --- removal ---


async def test_a_backend_whose_photos_are_home_is_removed_and_the_photos_stay(
    client: aiohttp.ClientSession, connection: Connection, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removal, "AT_ONCE", 2)
    backend = await add_backend(connection, enabled=False)
    await registry.reload()
    for _ in range(5):
        await add_photo(connection, backend_id=backend)
    tombstone = datetime.now(UTC)
    await add_photo(connection, backend_id=backend, deleted_at=tombstone, purged_at=tombstone)
    response = await client.delete(f"/api/v1/backends/{backend}")
    assert (response.status, await response.read()) == (204, b"")
    assert await connection.fetchval("SELECT count(*) FROM photos WHERE backend_id IS NULL") == 6
    assert (await answer(await client.get("/api/v1/backends"), 200))["total"] == 0
    assert registry.get(backend) is None


async def test_photos_still_waiting_are_given_up_only_when_confirmed(
    client: aiohttp.ClientSession, connection: Connection, registry: Registry
) -> None:
    backend = await add_backend(connection, enabled=False)
    await registry.reload()
    pending = await add_photo(connection, backend_id=backend, home=False)
    retrieving = await add_photo(
        connection, backend_id=backend, home=False, retrieval_status="retrieving", retrieval_claim=uuid4()
    )
    gone = await add_photo(connection, backend_id=backend, home=False, retrieval_status="gone")
    refused = await answer(await client.delete(f"/api/v1/backends/{backend}"), 409)
    assert refused["error"]["details"] == {"photos_waiting": 2, "live_steps": 0}
    assert (await answer(await client.get(f"/api/v1/backends/{backend}"), 200))["id"] == str(backend)
    assert (await client.delete(f"/api/v1/backends/{backend}?confirm=true")).status == 204

    async def fate(photo: UUID) -> Any:
        columns = "retrieval_status, retrieval_error, retrieval_claim, next_retrieval_attempt"
        row = await connection.fetchrow(f"SELECT {columns} FROM photos WHERE id = $1", photo)
        return tuple(row) if row else None

    assert await fate(pending) == await fate(retrieving) == ("failed", "backend removed", None, None)
    assert (await fate(gone) or ())[0] == "gone"


async def test_steps_that_still_run_there_end_with_what_they_have(
    client: aiohttp.ClientSession, connection: Connection, registry: Registry
) -> None:
    backend = await add_backend(connection, enabled=False)
    await registry.reload()
    session = await add_session(connection)
    running = await add_step(connection, session, backend_id=backend, status="processing", batch_size=2)
    batch = await add_batch(connection, running, backend, wanted=2, state="enqueued", enqueued=2)
    await add_item(connection, batch, running, 1, status="in_progress", ordinal=0)
    prepared = await add_step(connection, session, backend_id=backend)
    await add_batch(connection, prepared, backend)
    refused = await answer(await client.delete(f"/api/v1/backends/{backend}"), 409)
    assert refused["error"]["details"] == {"photos_waiting": 0, "live_steps": 2}
    assert (await client.delete(f"/api/v1/backends/{backend}?confirm=true")).status == 204
    rows = await connection.fetch("SELECT status, error_message, completed_at IS NOT NULL FROM generation_steps")
    assert [tuple(row) for row in rows] == [("failed", "backend removed", True)] * 2


async def test_a_photo_that_arrives_during_a_removal_stops_it(
    client: aiohttp.ClientSession, connection: Connection, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = await add_backend(connection, url=NOBODY_THERE)
    await registry.reload()
    reload = registry.reload

    async def reload_late() -> None:
        await add_photo(connection, backend_id=backend, home=False)
        await reload()

    monkeypatch.setattr(registry, "reload", reload_late)
    async with client.delete(f"/api/v1/backends/{backend}") as response:
        assert response.status == 409
    assert (await answer(await client.get(f"/api/v1/backends/{backend}"), 200))["enabled"] is True
    assert await connection.fetchval("SELECT count(*) FROM photos WHERE retrieval_status = 'failed'") == 0
