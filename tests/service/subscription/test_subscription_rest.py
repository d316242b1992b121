"""The subscription's state is REST's: with a socket or without one, and only once the server is recognised."""

from __future__ import annotations

import asyncio

from service.errors import InvokeInterrupted, InvokeUnrecognised
from service.invokeai.client import InvokeClient
from service.invokeai.subscription import SocketTiming
from tests.fakes.raw_invokeai import page
from tests.fakes.raw_socket import RawSockets
from tests.fakes.subscription_recorder import (
    CONNECTED,
    CONNECTING,
    NO_RECONNECT,
    UNREACHABLE,
    UNRECOGNISED,
    Waits,
    subscribed,
)

VERSION = "/api/v1/app/version"
A_PAGE = "InvokeAI answered 200: a web page: it is not InvokeAI, or a gateway before it shows its login page"


class Door:
    """Admits, or not, and counts how often it was asked."""

    def __init__(self, refusal: Exception | None = None) -> None:
        self.refusal = refusal
        self.asked = 0

    async def __call__(self) -> None:
        self.asked += 1
        if self.refusal is not None:
            raise self.refusal


async def test_a_server_without_a_socket_is_connected_for_as_long_as_it_answers(
    server: RawSockets, client: InvokeClient
) -> None:
    server.accepts = False
    async with subscribed(client) as watch:
        await watch.until(lambda: len(watch.sockets) >= 3)
        assert watch.states == [(CONNECTING, None), (CONNECTED, None)]
        server.rest.on(VERSION, page)
        assert await watch.reported(UNREACHABLE) == A_PAGE
        server.rest.serves()
        await watch.connected(times=2)


async def test_a_socket_that_keeps_us_waiting_keeps_nothing_else_waiting(
    server: RawSockets, client: InvokeClient
) -> None:
    server.sends_open = False
    async with subscribed(client, SocketTiming(head_start=0.0)) as watch:
        await watch.connected()
        assert watch.sockets == []


async def test_a_server_that_is_not_recognised_gets_no_socket_and_is_asked_again(
    server: RawSockets, client: InvokeClient
) -> None:
    door = Door(InvokeUnrecognised("another InvokeAI answers here"))
    async with subscribed(client, NO_RECONNECT, door) as watch:
        assert await watch.reported(UNRECOGNISED) == "another InvokeAI answers here"
        assert server.connections == []
        door.refusal = None
        watch.subscription.poke()
        await watch.connected()
    assert watch.states[1:] == [(UNRECOGNISED, "another InvokeAI answers here"), (CONNECTED, None)]


async def test_whether_it_is_recognised_is_asked_again_after_each_socket(
    server: RawSockets, client: InvokeClient
) -> None:
    door = Door()
    async with subscribed(client, admit=door) as watch:
        await watch.connected()
        door.refusal = InvokeUnrecognised("another InvokeAI answers here")
        server.connections[0].drop()
        await watch.reported(UNRECOGNISED)
        assert watch.times(CONNECTED) == 1
        assert [state for state, _ in watch.states[2:4]] == [CONNECTING, UNRECOGNISED]


async def test_a_server_that_cannot_be_asked_who_it_is_is_unreachable(server: RawSockets, client: InvokeClient) -> None:
    door = Door(InvokeInterrupted("no answer"))
    async with subscribed(client, admit=door) as watch:
        assert await watch.reported(UNREACHABLE) == "no answer"
        door.refusal = None
        await watch.connected()


async def test_an_unrecognised_server_is_asked_again_within_a_minute(server: RawSockets, client: InvokeClient) -> None:
    door, waits = Door(InvokeUnrecognised("another")), Waits()
    async with subscribed(client, SocketTiming(), door, waits) as watch:
        await watch.until(lambda: watch.times(UNRECOGNISED) >= 12)
    assert max(waits) <= 60


async def test_a_server_that_is_barred_is_not_tried_before_a_poke(server: RawSockets, client: InvokeClient) -> None:
    async with subscribed(client) as watch:
        await watch.connected()
        watch.subscription.barred = lambda: "its pod is stopped"
        watch.subscription.recheck()
        assert await watch.reported(UNREACHABLE) == "its pod is stopped"
        asked = len(server.rest.received)
        await asyncio.sleep(1.5)
        assert len(server.rest.received) == asked
        watch.subscription.barred = lambda: None
        watch.subscription.poke()
        await watch.connected(times=2)
