"""The subscription: stopped at any moment, and let in or not by a multiuser server."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from service.invokeai.client import Credentials, InvokeClient
from tests.fakes.raw_invokeai import QUEUE, free_port, json
from tests.fakes.raw_socket import RawSockets
from tests.fakes.subscription_recorder import (
    CONNECTED,
    FAST,
    NO_RECONNECT,
    UNAUTHORIZED,
    UNREACHABLE,
    SubscriptionRecorder,
    subscribed,
)


async def test_it_stops_by_saying_goodbye_and_leaves_nothing(
    server: RawSockets, client: InvokeClient, session: aiohttp.ClientSession
) -> None:
    before = asyncio.all_tasks()
    watch = SubscriptionRecorder(client, FAST)
    await watch.connected()
    await watch.stop()
    assert watch.task.cancelled()
    await server.until(lambda: server.connections[0].ended)
    assert server.connections[0].client_disconnected
    ours = {task for task in asyncio.all_tasks() - before if "engineio" in repr(task) or "socketio" in repr(task)}
    assert ours == set()
    assert not session.closed


@pytest.mark.parametrize("fault", ["sends_open", "acknowledges"])
async def test_it_stops_in_the_middle_of_connecting(
    server: RawSockets, client: InvokeClient, session: aiohttp.ClientSession, fault: str
) -> None:
    setattr(server, fault, False)
    watch = SubscriptionRecorder(client, FAST)
    await server.until(lambda: server.connections)
    await watch.stop()
    assert watch.task.cancelled()
    await server.until(lambda: server.connections[0].ended)
    assert not session.closed


async def test_it_stops_in_the_middle_of_a_wait(session: aiohttp.ClientSession) -> None:
    watch = SubscriptionRecorder(InvokeClient(f"http://127.0.0.1:{free_port()}", session=session), NO_RECONNECT)
    await watch.reported(UNREACHABLE)
    await watch.stop()
    assert watch.task.cancelled()


async def test_on_a_multiuser_server_the_socket_carries_the_token(
    server: RawSockets, session: aiohttp.ClientSession
) -> None:
    logs_in(server)
    client = InvokeClient(server.url, credentials=Credentials("a@example.com", "p"), timeout=2, session=session)
    async with subscribed(client) as watch:
        await watch.connected()
    assert server.connections[0].auth == {"token": "t1"}


async def test_a_wrong_password_is_unauthorized_until_it_is_mended(
    server: RawSockets, session: aiohttp.ClientSession
) -> None:
    logs_in(server)
    server.rest.on("/api/v1/auth/login", json({"detail": "Incorrect email or password"}, 401))
    client = InvokeClient(server.url, credentials=Credentials("a@example.com", "p"), timeout=2, session=session)
    async with subscribed(client, NO_RECONNECT) as watch:
        assert await watch.reported(UNAUTHORIZED) == "Incorrect email or password"
        assert server.connections == []
        server.rest.on("/api/v1/auth/login", json({"token": "t1"}))
        watch.subscription.poke()
        await watch.connected()
    assert watch.subscription.state is CONNECTED


def logs_in(server: RawSockets) -> None:
    async def status(request: Any) -> Any:
        authorized = request.headers.get("Authorization") == "Bearer t1"
        idle = {"queue": {}, "processor": {}}
        return await (json(idle) if authorized else json({"detail": "Authentication required"}, 401))(request)

    server.rest.serves("/api/v1/auth/status")
    server.rest.on("/api/v1/auth/status", json({"multiuser_enabled": True}))
    server.rest.on("/api/v1/auth/login", json({"token": "t1"}))
    server.rest.on(f"{QUEUE}/status", status)
