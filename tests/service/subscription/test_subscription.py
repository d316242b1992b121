"""The subscription: events in order while a socket lives, and a new socket after any end of the last."""

from __future__ import annotations

from typing import Any

import aiohttp
import msgspec
import pytest

from service.invokeai.client import InvokeClient
from service.invokeai.subscription import SocketTiming
from tests.fakes.raw_invokeai import cut, free_port, json, page, stall
from tests.fakes.raw_socket import RawSockets, raw_sockets
from tests.fakes.subscription_recorder import CONNECTED, CONNECTING, NO_RECONNECT, UNREACHABLE, Waits, subscribed

VERSION = "/api/v1/app/version"
A_PAGE = "InvokeAI answered 200: a web page: it is not InvokeAI, or a gateway before it shows its login page"


def progress(number: int, queue_id: str = "default") -> dict[str, Any]:
    return {"queue_id": queue_id, "item_id": number, "batch_id": "b", "session_id": "s"}


async def test_it_subscribes_to_its_queue_before_it_says_connected(server: RawSockets, client: InvokeClient) -> None:
    async with subscribed(client) as watch:
        await watch.connected()
        assert server.connections[0].subscribed == {"queue_id": "default"}
        assert server.connections[0].request.query["transport"] == "websocket"
        assert server.connections[0].request.query["EIO"] == "4"
        assert watch.states == [(CONNECTING, None), (CONNECTED, None)]
        assert client.info is not None


async def test_events_arrive_in_the_order_they_were_sent(server: RawSockets, client: InvokeClient) -> None:
    async with subscribed(client) as watch:
        await watch.connected()
        for number in range(500):
            await server.connections[0].event("invocation_progress", progress(number))
        await watch.until(lambda: len(watch.events) == 500)
    assert [msgspec.json.decode(payload)["item_id"] for _, payload in watch.events] == list(range(500))
    assert watch.subscription.last_event_at is not None


async def test_other_queues_unused_events_and_nonsense_are_not_handed_over(
    server: RawSockets, client: InvokeClient
) -> None:
    async with subscribed(client) as watch:
        await watch.connected()
        connection = server.connections[0]
        await connection.event("invocation_progress", progress(1, "another"))
        await connection.event("model_load_started", {"config": {}})
        await connection.event("queue_cleared", "not an object")
        await connection.event("queue_cleared")
        await connection.event("model_install_complete", {"key": "k"})
        await connection.event("queue_cleared", {"queue_id": "default"})
        await watch.until(lambda: len(watch.events) == 2)
    assert [name for name, _ in watch.events] == ["model_install_complete", "queue_cleared"]


async def test_a_message_of_five_megabytes_is_a_message(server: RawSockets, client: InvokeClient) -> None:
    preview = {"width": 1, "height": 1, "dataURL": "x" * 5_000_000}
    async with subscribed(client) as watch:
        await watch.connected()
        await server.connections[0].event("invocation_progress", progress(1) | {"image": preview})
        await watch.until(lambda: len(watch.events) == 1)
    assert msgspec.json.decode(watch.events[0][1])["image"] == preview
    assert watch.times(CONNECTED) == 1


@pytest.mark.parametrize("end", ["disconnect", "drop"])
async def test_a_lost_socket_is_replaced(server: RawSockets, client: InvokeClient, end: str) -> None:
    async with subscribed(client) as watch:
        await watch.connected()
        if end == "disconnect":
            await server.connections[0].disconnect()
        else:
            server.connections[0].drop()
        await watch.subscribed(2)
        await server.connections[1].event("queue_cleared", {"queue_id": "default"})
        await watch.until(lambda: len(watch.events) == 1)
    assert [state for state, _ in watch.states] == [CONNECTING, CONNECTED, CONNECTING, CONNECTED]
    assert watch.states[2][1] == "the socket was lost"
    assert server.connections[1].subscribed == {"queue_id": "default"}


async def test_a_socket_whose_pings_stop_is_replaced(server: RawSockets, client: InvokeClient) -> None:
    server.ping_milliseconds = 100
    async with subscribed(client) as watch:
        await watch.connected()
        server.ping_milliseconds = 25_000
        await watch.subscribed(2)
        await server.until(lambda: server.connections[0].ended)


async def test_a_server_that_is_not_there_is_tried_again(session: aiohttp.ClientSession) -> None:
    port = free_port()
    async with subscribed(InvokeClient(f"http://127.0.0.1:{port}", session=session)) as watch:
        await watch.until(lambda: watch.times(UNREACHABLE) >= 3)
        async with raw_sockets(port=port) as server:
            server.rest.serves()
            await watch.connected()
    assert watch.states[0] == (CONNECTING, None)


async def test_a_poke_ends_the_wait(server: RawSockets, client: InvokeClient) -> None:
    server.rest.on(VERSION, page)
    async with subscribed(client, NO_RECONNECT) as watch:
        assert await watch.reported(UNREACHABLE) == A_PAGE
        server.rest.serves()
        watch.subscription.poke()
        await watch.connected()


async def test_a_socket_that_is_rejected_says_so_and_is_tried_again(server: RawSockets, client: InvokeClient) -> None:
    server.accepts = False
    async with subscribed(client) as watch:
        assert await watch.without_socket() == "InvokeAI rejected the socket: Connection rejected by server"
        server.accepts = True
        await watch.subscribed()


async def test_a_page_in_the_place_of_a_socket_is_no_socket(session: aiohttp.ClientSession) -> None:
    async with raw_sockets(path="/elsewhere") as server:
        server.rest.serves()
        async with subscribed(InvokeClient(server.rest.url, timeout=2, session=session)) as watch:
            assert await watch.without_socket() == "a proxy in between passes no websockets"


async def test_a_socket_that_never_opens_is_given_up(server: RawSockets, client: InvokeClient) -> None:
    server.sends_open = False
    async with subscribed(client) as watch:
        assert await watch.without_socket() == "the socket did not answer within 2 s"
        server.sends_open = True
        await watch.subscribed()
        await server.until(lambda: server.connections[0].ended)


async def test_a_subscription_that_is_not_acknowledged_is_none(server: RawSockets, client: InvokeClient) -> None:
    server.acknowledges = False
    async with subscribed(client) as watch:
        assert await watch.without_socket() == "the socket did not answer within 2 s"
        server.acknowledges = True
        await watch.subscribed()
        await server.until(lambda: server.connections[0].ended)


async def test_a_socket_lost_while_subscribing_is_noticed_at_once(server: RawSockets, client: InvokeClient) -> None:
    server.acknowledges = False
    async with subscribed(client) as watch:
        await server.until(lambda: server.connections and server.connections[0].subscribed)
        server.connections[0].drop()
        assert await watch.without_socket() == "the socket was lost while subscribing"


async def test_a_silent_socket_of_a_server_that_no_longer_answers_is_dropped(
    server: RawSockets, client: InvokeClient
) -> None:
    async with subscribed(client, SocketTiming(first_wait=0.01, longest_wait=0.05, settled=0.0, quiet=0.05)) as watch:
        await watch.connected()
        server.rest.on(VERSION, cut)
        await watch.until(lambda: watch.times(CONNECTING) == 2)
        assert watch.states[2] == (CONNECTING, "the socket was silent and the server did not answer")
        server.rest.serves()
        await watch.subscribed(2)
        await server.until(lambda: server.connections[0].ended)
    assert server.connections[0].client_disconnected


async def test_a_silent_socket_of_a_server_that_answers_is_kept(server: RawSockets, client: InvokeClient) -> None:
    async with subscribed(client, SocketTiming(first_wait=0.01, longest_wait=0.05, settled=0.0, quiet=0.01)) as watch:
        await watch.connected()
        asked = len(server.rest.to(VERSION))
        await server.rest.until_asked(VERSION, asked + 5)
    assert watch.times(CONNECTING) == 1


async def test_a_socket_lost_during_a_check_is_noticed_at_once(
    server: RawSockets, session: aiohttp.ClientSession
) -> None:
    patient = InvokeClient(server.url, timeout=60, session=session)
    async with subscribed(patient, SocketTiming(first_wait=0.01, longest_wait=0.05, settled=0.0, quiet=0.01)) as watch:
        await watch.connected()
        server.rest.on(VERSION, stall())
        asked = len(server.rest.to(VERSION))
        await server.rest.until_asked(VERSION, asked + 1)
        server.connections[0].drop()
        await watch.until(lambda: watch.times(CONNECTING) == 2)
        assert watch.states[2] == (CONNECTING, "the socket was lost")


async def test_the_shared_session_outlives_many_sockets(
    server: RawSockets, client: InvokeClient, session: aiohttp.ClientSession
) -> None:
    async with subscribed(client) as watch:
        for number in range(5):
            await watch.subscribed(number + 1)
            server.connections[number].drop()
        await watch.subscribed(6)
        assert await client.version() == "6.14.2"
    assert not session.closed


async def test_a_server_behind_a_sub_path_has_its_socket_there(session: aiohttp.ClientSession) -> None:
    async with raw_sockets(path="/invoke") as server:
        server.rest.on("/invoke/api/v1/app/version", json({"version": "6.14.2"}))
        server.rest.on("/invoke/openapi.json", json({"paths": {}}))
        async with subscribed(InvokeClient(f"{server.url}/", timeout=2, session=session)) as watch:
            await watch.connected()


async def test_waits_for_a_server_grow_until_it_answers(server: RawSockets, client: InvokeClient) -> None:
    server.rest.on(VERSION, page)
    waits = Waits()
    async with subscribed(client, SocketTiming(first_wait=1.0, longest_wait=5.0), wait=waits) as watch:
        await watch.until(lambda: watch.times(UNREACHABLE) >= 6)
        assert Waits(waits[:5]).are(1.0, 2.0, 4.0, 5.0, 5.0)
        server.rest.serves()
        await watch.connected()
        waits.clear()
        server.rest.on(VERSION, page)
        server.connections[0].drop()
        await watch.until(lambda: len(waits) >= 2)
        assert Waits(waits[:2]).are(1.0, 2.0)


async def test_waits_for_a_socket_grow_while_each_is_dropped_at_once(server: RawSockets, client: InvokeClient) -> None:
    waits = Waits()
    async with subscribed(client, SocketTiming(first_wait=1.0, longest_wait=5.0, settled=3600.0), wait=waits) as watch:
        for number in range(5):
            await watch.subscribed(number + 1)
            server.connections[number].drop()
        await watch.subscribed(6)
        assert waits.are(1.0, 2.0, 4.0, 5.0, 5.0)
        assert watch.sockets.count("each socket breaks off at once") == 3, "from the third on"


@pytest.mark.parametrize("how", ["heard an event", "lasted"])
async def test_a_socket_that_worked_and_was_cut_is_replaced_without_a_longer_wait(
    server: RawSockets, client: InvokeClient, how: str
) -> None:
    waits, settled = Waits(), 0.0 if how == "lasted" else 3600.0
    async with subscribed(client, SocketTiming(first_wait=1.0, longest_wait=5.0, settled=settled), wait=waits) as watch:
        for number in range(4):
            await watch.subscribed(number + 1)
            if how == "heard an event":
                await server.connections[number].event("queue_cleared", {"queue_id": "default"})
                await watch.until(lambda wanted=number + 1: len(watch.events) == wanted)
            server.connections[number].drop()
        await watch.subscribed(5)
        assert waits.are(1.0, 1.0, 1.0, 1.0)
