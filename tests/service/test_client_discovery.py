"""What a server has is known by its version where it cannot say so itself: no discovery route stands in the way."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from service.errors import InvokeNoSuchRoute, InvokeUnauthorized, InvokeUnreachable
from service.invokeai.client import Credentials, InvokeClient
from service.invokeai.versions import SINCE, routes_of
from tests.fakes import ScriptedInvokeAI
from tests.fakes.raw_invokeai import (
    QUEUE,
    SINCE_6_14,
    Answer,
    RawInvokeAI,
    client_session,
    cut,
    data,
    free_port,
    json,
    page,
    raw_invokeai,
    text,
)
from tests.fakes.versions import VERSIONS

VERSION = "/api/v1/app/version"
OPENAPI = "/openapi.json"
AUTH_STATUS = "/api/v1/auth/status"
LOGIN = "/api/v1/auth/login"
STATUS = f"{QUEUE}/status"
IDLE = json({"queue": {"queue_id": "default", "pending": 0, "in_progress": 0}, "processor": {}})
NO_AUTH = json({"detail": "Authentication required"}, 401)
LONG = data(b'{"paths": {' + b" " * 5 * 2**20 + b"}}", "application/json")


@pytest.fixture
async def server() -> AsyncIterator[RawInvokeAI]:
    async with raw_invokeai() as server:
        server.on(STATUS, IDLE)
        yield server


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with client_session() as session:
        yield session


@pytest.fixture
def client(server: RawInvokeAI, session: aiohttp.ClientSession) -> InvokeClient:
    return InvokeClient(server.url, timeout=5, session=session)


@pytest.mark.parametrize("version", VERSIONS)
async def test_routes_by_version_are_those_the_server_lists(
    tmp_path: Path, session: aiohttp.ClientSession, version: str
) -> None:
    server = ScriptedInvokeAI(tmp_path, version=version)
    await server.start()
    info = await InvokeClient(server.url, session=session).connect()
    await server.stop()
    assert info.listed
    assert routes_of(version) == info.routes & set(SINCE)


@pytest.mark.parametrize(
    "openapi",
    [
        pytest.param(text("Internal Server Error", 500), id="a custom node breaks it"),
        pytest.param(page, id="the proxy passes /api alone"),
        pytest.param(text("no", 403), id="refused"),
        pytest.param(cut, id="cut"),
        pytest.param(json({"hello": "world"}), id="something else"),
        pytest.param(LONG, id="too long"),
    ],
)
async def test_a_server_that_cannot_list_its_routes_has_those_of_its_version(
    server: RawInvokeAI, client: InvokeClient, openapi: Answer
) -> None:
    server.on(VERSION, json({"version": "6.9.0"}))
    server.on(OPENAPI, openapi)
    info = await client.connect()
    assert (info.version, info.listed, info.multiuser) == ("6.9.0", False, False)
    assert info.routes == routes_of("6.9.0")
    assert len(server.to(OPENAPI)) == 1


async def test_routes_are_listed_again_only_for_another_version_while_it_answers(
    server: RawInvokeAI, client: InvokeClient
) -> None:
    server.serves(*SINCE_6_14)
    await client.connect()
    await client.connect(again=True)
    assert len(server.to(OPENAPI)) == 1
    server.on(VERSION, json({"version": "6.15.0"}))
    info = await client.connect(again=True)
    assert len(server.to(OPENAPI)) == 2
    assert (info.version, info.routes) == ("6.15.0", frozenset(SINCE_6_14))


async def test_a_route_its_version_should_have_and_has_not_is_done_without(
    server: RawInvokeAI, client: InvokeClient
) -> None:
    """A development snapshot calls itself 6.14 before it has all of it."""
    server.on(VERSION, json({"version": "6.14.0-alpha"}))
    server.on(OPENAPI, text("Internal Server Error", 500))
    item = {"item_id": 4, "status": "pending", "batch_id": "b", "session_id": "s", "priority": 0}
    server.on(f"{QUEUE}/items_by_ids", json([item]))
    for _ in range(2):
        assert [summary.item_id for summary in await client.summaries([4])] == [4]
    assert len(server.to(f"{QUEUE}/item_summaries_by_ids")) == 1
    assert len(server.to(f"{QUEUE}/items_by_ids")) == 2


async def test_a_listed_route_that_is_not_there_for_once_is_a_failure(
    server: RawInvokeAI, client: InvokeClient
) -> None:
    server.serves(*SINCE_6_14)
    with pytest.raises(InvokeNoSuchRoute):
        await client.item_ids()


async def test_whether_there_are_users_is_found_out_by_trying(
    server: RawInvokeAI, session: aiohttp.ClientSession, client: InvokeClient
) -> None:
    server.serves(*SINCE_6_14, AUTH_STATUS)
    server.on(AUTH_STATUS, text("Internal Server Error", 500))
    assert not (await client.connect()).multiuser
    server.on(STATUS, NO_AUTH)
    with pytest.raises(InvokeUnauthorized):
        await client.connect()
    server.on(STATUS, NO_AUTH, IDLE)
    server.on(LOGIN, json({"token": "t1"}))
    owner = InvokeClient(server.url, credentials=Credentials("a@example.com", "p"), timeout=5, session=session)
    assert (await owner.connect()).multiuser
    assert len(server.to(LOGIN)) == 1


async def test_a_version_that_no_database_could_keep_is_cleaned(server: RawInvokeAI, client: InvokeClient) -> None:
    server.serves(version="6.14\0.2\n" + "9" * 1000)
    info = await client.connect()
    assert info.version.startswith("6.14.2999")
    assert len(info.version) == 100


async def test_a_server_that_is_away_has_no_routes_at_all(session: aiohttp.ClientSession) -> None:
    with pytest.raises(InvokeUnreachable):
        await InvokeClient(f"http://127.0.0.1:{free_port()}", timeout=5, session=session).connect()
