"""Sockets of a server that means harm: each ends with words for the owner, one warning, and no task of its own."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from service.invokeai.client import InvokeClient
from tests.fakes.raw_socket import OPEN, RawSockets
from tests.fakes.subscription_recorder import NO_RECONNECT, subscribed

PINGS: dict[str, Any] = OPEN | {"pingInterval": 25_000, "pingTimeout": 25_000}


def warnings(logs: list[Any], event: str) -> int:
    return sum(log["event"] == event and log["log_level"] == "warning" for log in logs)


@pytest.mark.parametrize(
    "opening",
    [
        "0{}",
        "0[]",
        "0null",
        "0" + msgspec.json.encode(PINGS | {"pingInterval": "x"}).decode(),
        "0" + msgspec.json.encode(PINGS).decode().replace('"pingInterval":25000', f'"pingInterval":{"1" * 401}'),
        "0" + "[" * 50_000,
        "x",
        "",
    ],
    ids=lambda text: ascii(text[:20]),
)
async def test_an_odd_greeting_of_the_socket_is_an_error_with_words(
    server: RawSockets, client: InvokeClient, opening: str
) -> None:
    server.opening = opening
    async with subscribed(client, NO_RECONNECT) as watch:
        why = await watch.without_socket()
        assert why
        assert len(why) <= 300
        assert not watch.task.done()


@pytest.mark.parametrize(
    "frame",
    [
        "42not json",
        "42[7]",
        "42{}",
        "49",
        "4",
        '451000000-["queue_cleared",{"_placeholder":true,"num":0}]',
        '42["' + "n" * 1000 + '",{}]',
    ],
    ids=lambda text: text[:12],
)
async def test_a_frame_that_cannot_be_read_ends_the_socket_with_one_warning(
    server: RawSockets, client: InvokeClient, frame: str
) -> None:
    failures: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
    with capture_logs() as logs:
        async with subscribed(client, NO_RECONNECT) as watch:
            await watch.connected()
            for _ in range(50):
                await server.connections[0].frame(frame)
            await server.until(lambda: server.connections[0].ended)
    asyncio.get_running_loop().set_exception_handler(None)
    assert warnings(logs, "socket_unreadable") == 1
    assert failures == []
    assert watch.events == []


async def test_what_is_said_after_an_attachment_too_many_is_not_kept(server: RawSockets, client: InvokeClient) -> None:
    async with subscribed(client, NO_RECONNECT) as watch:
        await watch.connected()
        await server.connections[0].frame('42["queue_cleared",{"queue_id":"default"}]')
        await server.connections[0].frame('452-["queue_cleared",{"_placeholder":true,"num":0}]')
        await server.until(lambda: server.connections[0].ended)
    assert len(watch.events) == 1


async def test_a_socket_message_of_seventeen_megabytes_ends_the_socket(
    server: RawSockets, client: InvokeClient
) -> None:
    async with subscribed(client, NO_RECONNECT) as watch:
        await watch.connected()
        with suppress(ConnectionError):
            await server.connections[0].event("queue_cleared", {"queue_id": "default", "x": "x" * 17 * 2**20})
        await server.until(lambda: server.connections[0].ended)
    assert watch.events == []


@pytest.mark.parametrize("length", [100_000, 20_000])
async def test_a_rejection_of_any_length_is_cut(server: RawSockets, client: InvokeClient, length: int) -> None:
    server.rejection = "no" * (length // 2)
    with capture_logs() as logs:
        async with subscribed(client, NO_RECONNECT) as watch:
            assert len(await watch.without_socket()) < 600
    assert all(len(str(log)) < 2000 for log in logs)


async def test_pings_of_a_server_that_reads_no_answers_are_not_answered_for_ever(
    server: RawSockets, client: InvokeClient
) -> None:
    """Each answer would repeat what came with the ping, and wait until it is read."""
    async with subscribed(client, NO_RECONNECT) as watch:
        await watch.connected()
        await server.connections[0].frame("2" + "p" * 100_000)
        await server.until(lambda: server.connections[0].ended)
