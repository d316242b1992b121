"""A login is kept with the origin it was given for, and sent nowhere else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from service.database.engine import Connection
from tests.fakes import ScriptedInvokeAI, answers
from tests.fakes.darkroom import running, settings_for
from tests.fakes.multiuser import Account
from tests.fakes.owner import Owner
from tests.fakes.raw_invokeai import QUEUE, SINCE_6_14, RawInvokeAI, json
from tests.fakes.raw_socket import RawSockets, raw_sockets
from tests.fakes.servers import Servers
from tests.fakes.waiting import eventually

EMAIL, PASSWORD = "owner@example.com", "hunter2hunter2"
LOGIN = {"email": EMAIL, "password": PASSWORD}
NO_AUTH = json({"detail": "Authentication required"}, 401)


@pytest.fixture
async def theirs(servers: Servers) -> ScriptedInvokeAI:
    """The server that the login was given for."""
    return await servers("theirs", Account(EMAIL, PASSWORD, is_admin=True))


@pytest.fixture
async def elsewhere() -> AsyncIterator[RawSockets]:
    """One that asks for a login, says yes to any, and keeps all it hears."""
    async with raw_sockets() as sockets:
        sockets.rest.serves(*SINCE_6_14, "/api/v1/auth/status")
        sockets.rest.on("/api/v1/auth/status", json({"multiuser_enabled": True}))
        sockets.rest.on("/api/v1/auth/login", json({"token": "given elsewhere"}))
        sockets.rest.on(f"{QUEUE}/status", NO_AUTH)
        yield sockets


@pytest.fixture
async def owner(tmp_path: Path, database_url: str, theirs: ScriptedInvokeAI) -> AsyncIterator[Owner]:
    settings = settings_for(
        tmp_path / "data", database_url, invokeai_url=theirs.url, invokeai_email=EMAIL, invokeai_password=PASSWORD
    )
    async with running(settings) as darkroom:
        owner = Owner(darkroom)
        await owner.until_state("connected")
        yield owner


def heard(server: RawInvokeAI) -> str:
    return "\n".join(f"{r.path} {r.query} {r.headers} {r.body!r}" for r in server.received)


def assert_no_login(sockets: RawSockets) -> None:
    everything = heard(sockets.rest)
    assert "/api/v1/app/version" in everything, "it was asked"
    for secret in (EMAIL, PASSWORD, "Bearer", "/auth/login"):
        assert secret not in everything
    assert [connection.auth for connection in sockets.connections if connection.auth] == []


async def test_an_edited_address_hears_no_login_and_the_former_one_gets_its_own_again(
    owner: Owner, elsewhere: RawSockets, theirs: ScriptedInvokeAI
) -> None:
    backend = await owner.backend()
    await owner.patch(backend["id"], url=elsewhere.url)
    unauthorized = await owner.until_state("unauthorized")
    assert "give its login" in unauthorized["error"]
    async with owner.http.post(f"/api/v1/backends/{backend['id']}/test") as response:
        assert response.status == 502
    assert_no_login(elsewhere)
    await owner.patch(backend["id"], url=f"{theirs.url}/", mirror="own")
    await owner.until_state("connected")


async def test_a_login_given_for_another_origin_is_sent_there_alone(
    owner: Owner, elsewhere: RawSockets, theirs: ScriptedInvokeAI
) -> None:
    backend = await owner.backend()
    other = {"email": "me@elsewhere.example", "password": "another one"}
    elsewhere.rest.on(f"{QUEUE}/status", NO_AUTH, json({"detail": "no"}, 500))
    await owner.patch(backend["id"], url=elsewhere.url, credentials=other)
    await elsewhere.rest.until_asked("/api/v1/auth/login", 1)
    assert elsewhere.rest.to("/api/v1/auth/login")[0].json().items() >= other.items()
    assert PASSWORD not in heard(elsewhere.rest)
    await owner.patch(backend["id"], url=theirs.url)
    await owner.until_state("connected")


async def test_another_path_of_an_origin_has_its_login_and_another_port_has_not(
    owner: Owner, connection: Connection, theirs: ScriptedInvokeAI
) -> None:
    backend = await owner.backend()
    backends = "SELECT logins->substring(url from '^[a-z]+://[^/]+') IS NOT NULL FROM backends"
    await owner.patch(backend["id"], url=f"{theirs.url}/behind/a/path", enabled=False)
    assert await connection.fetchval(backends)
    await owner.patch(backend["id"], url=f"http://{theirs.host}:{theirs.port + 1}")
    assert not await connection.fetchval(backends)


async def test_null_forgets_the_logins_of_every_origin(owner: Owner, connection: Connection) -> None:
    backend = await owner.backend()
    await owner.patch(backend["id"], url="http://127.0.0.1:9", credentials=LOGIN)
    await owner.patch(backend["id"], credentials=None)
    assert await connection.fetchval("SELECT logins::text FROM backends") == "{}"


async def test_a_changed_url_of_the_environment_hears_no_login(
    tmp_path: Path, database_url: str, theirs: ScriptedInvokeAI, elsewhere: RawSockets
) -> None:
    login = {"invokeai_email": EMAIL, "invokeai_password": PASSWORD}
    async with running(settings_for(tmp_path, database_url, invokeai_url=theirs.url, **login)) as darkroom:
        await Owner(darkroom).until_state("connected")
    async with running(settings_for(tmp_path, database_url, invokeai_url=elsewhere.url)) as darkroom:
        await Owner(darkroom).until_state("unauthorized")
        assert_no_login(elsewhere)
    async with running(settings_for(tmp_path, database_url, invokeai_url=theirs.url)) as darkroom:
        await Owner(darkroom).until_state("connected")


async def test_the_sockets_token_does_not_follow_a_redirect(
    owner: Owner, theirs: ScriptedInvokeAI, elsewhere: RawSockets
) -> None:
    theirs.on("/ws/", answers.redirect(f"{elsewhere.url}/ws/socket.io/?EIO=4&transport=websocket"), times=None)
    await theirs.disconnect_sockets()

    async def told() -> bool:
        return [trouble["code"] for trouble in (await owner.backend())["troubles"]] == ["no_events"]

    await eventually(told)
    assert elsewhere.connections == []
    assert (await owner.backend())["state"] == "connected"
