"""What a stranger may do to the server by HTTP alone: each attack is cut off, and clients that mean well are served."""

from __future__ import annotations

import asyncio
import resource
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import msgspec
import pytest
from litestar import Request, WebSocket, get, post, websocket

from service.api import request_body
from service.config.addresses import is_loopback
from service.web import http_protocol
from service.web.connections import MOST_DESCRIPTORS, HttpConnections, raise_descriptor_limit
from service.web.http_protocol import HEAD_BYTES, HEAD_LINES, PIECE, REQUESTS_WAITING
from tests.fakes.served import listening
from tests.fakes.wire import PATIENCE, Wire, wire

GET = b"GET /small HTTP/1.1\r\nHost: x\r\n\r\n"
LARGE = b"x" * 16_000_000
"""More than the kernel takes for a client that does not read."""
HANDSHAKE = (
    b"GET /feed HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
)


class Seen:
    """What the routes saw, and what holds them up."""

    def __init__(self) -> None:
        self.requests = 0
        self.go_on = asyncio.Event()


@pytest.fixture
def seen() -> Seen:
    return Seen()


def routes_of(seen: Seen) -> list[Any]:
    @get("/small")
    async def small(request: Request[Any, Any, Any]) -> dict[str, str]:
        seen.requests += 1
        return dict(request.headers)

    @get("/large")
    async def large() -> bytes:
        seen.requests += 1
        return LARGE

    @get("/slow")
    async def slow() -> str:
        seen.requests += 1
        await seen.go_on.wait()
        return "done"

    @post("/echo")
    async def echo(request: Request[Any, Any, Any]) -> dict[str, Any]:
        seen.requests += 1
        return {"length": len(await request.body()), "headers": dict(request.headers)}

    @post("/refusing", status_code=403)
    async def refusing() -> str:
        return "no"

    @websocket("/feed")
    async def feed(socket: WebSocket[Any, Any, Any]) -> None:
        await socket.accept()
        while (await socket.receive())["type"] != "websocket.disconnect":
            continue

    return [small, large, slow, echo, refusing, feed]


@pytest.fixture
async def port(seen: Seen) -> AsyncIterator[int]:
    async with listening(routes_of(seen)) as port:
        yield port
        seen.go_on.set()


def error_of(client: Wire) -> dict[str, Any]:
    error: dict[str, Any] = msgspec.json.decode(client.received.rpartition(b"\r\n\r\n")[2])["error"]
    return error


# --- heads and trailers ---

POST = b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n"


@pytest.mark.parametrize(
    ("start", "more"),
    [
        pytest.param(b"GET /small HTTP/1.1\r\nHost: x\r\nX: ", b"v" * 4096, id="header value"),
        pytest.param(b"GET /small HTTP/1.1\r\nHost: x\r\nX", b"n" * 4096, id="header name"),
        pytest.param(b"GET /", b"u" * 4096, id="URL"),
        pytest.param(b"GET /small HTTP/1.1\r\nHost: x\r\n", b"a: b\r\n" * 700, id="many small headers"),
        pytest.param(b"", b"\r\n" * 2048, id="empty lines"),
        pytest.param(POST + b"0\r\nX: ", b"v" * 4096, id="trailer value"),
        pytest.param(POST + b"0\r\n", b"a: b\r\n" * 700, id="many small trailers"),
        pytest.param(POST + b"1;x=", b"e" * 4096, id="chunk extension"),
        pytest.param(HANDSHAKE + b"X: ", b"v" * 4096, id="websocket handshake, value"),
        pytest.param(HANDSHAKE, b"a: b\r\n" * 700, id="websocket handshake, many headers"),
    ],
)
async def test_an_endless_head_or_trailer_is_refused(port: int, start: bytes, more: bytes) -> None:
    async with wire(port) as client:
        client.send(start)
        sent = await client.flood(more, 10 * HEAD_BYTES)
        assert client.closed.done()
        assert sent <= HEAD_BYTES + PIECE + 2 * len(more)
        assert client.status == 431
        assert error_of(client)["code"] == "head_too_large"
    async with wire(port) as client:
        client.send(GET)
        await client.until(1)
        assert client.status == 200


@pytest.mark.parametrize(
    "headers",
    [b"X: " + b"v" * HEAD_BYTES + b"\r\n", b"a: b\r\n" * HEAD_LINES, b"X: " + b"v" * 1_000_000 + b"\r\n"],
    ids=["just too long", "just too many", "a megabyte"],
)
async def test_a_head_that_comes_whole_and_is_too_large_is_refused(port: int, seen: Seen, headers: bytes) -> None:
    async with wire(port) as client:
        client.send(b"GET /small HTTP/1.1\r\nHost: x\r\n" + headers + b"\r\n")
        await client.until_closed()
    assert seen.requests == 0


async def test_a_long_head_within_the_limits_is_served_with_a_long_body_behind_it(port: int) -> None:
    lines = b"".join(b"x%d: %s\r\n" % (n, b"v" * 600) for n in range(HEAD_LINES - 3))
    body = b"b" * 1_000_000
    async with wire(port) as client:
        for count in (1, 2):
            client.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n" + lines + b"\r\n" + body)
            await client.until(count)
            assert client.status == 201
            await client.until(count, b'"length":1000000')


async def test_a_trailer_is_not_taken_for_a_header(port: int) -> None:
    async with wire(port) as client:
        client.send(POST + b"0\r\nX-Forwarded-For: 203.0.113.9\r\nAuthorization: Bearer x\r\n\r\n")
        await client.until(1, b'"length":1')
        assert b"forwarded" not in client.received
        client.send(GET)
        await client.until(2)
        assert client.status == 200


async def test_a_websocket_handshake_with_a_line_too_long_for_it_is_refused_and_not_held(port: int) -> None:
    async with wire(port) as client:
        client.send(HANDSHAKE + b"Cookie: " + b"c" * 10_000 + b"\r\n\r\n")
        await client.until_closed()
        assert client.status == 431
        assert error_of(client)["code"] == "head_too_large"


@pytest.mark.parametrize(
    ("handshake", "status"),
    [
        (HANDSHAKE.replace(b"GET", b"PUT") + b"\r\n", 405),
        (HANDSHAKE + b"Content-Length: 5\r\n\r\n", 400),
        (HANDSHAKE.replace(b"Sec-WebSocket-Key", b"X") + b"\r\n", 400),
    ],
    ids=["by another method", "with a body", "without a key"],
)
async def test_a_false_websocket_handshake_is_refused_and_not_held(port: int, handshake: bytes, status: int) -> None:
    async with wire(port) as client:
        client.send(handshake)
        await client.until_closed()
        assert client.status == status


async def test_what_is_not_http_is_refused_in_the_form_of_every_error(port: int) -> None:
    async with wire(port) as client:
        client.send(b"\x16\x03\x01 hello\r\n\r\n")
        await client.until_closed()
        assert client.status == 400
        assert error_of(client)["code"] == "validation_error"
        assert b"\r\nx-content-type-options: nosniff\r\n" in client.received


# --- pipelines ---


async def test_thousands_of_requests_whose_answers_are_not_read_close_the_connection(port: int, seen: Seen) -> None:
    async with wire(port) as client:
        client.transport.pause_reading()
        client.send(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n" * 100_000)
        client.transport.resume_reading()
        await client.until_closed()
    assert seen.requests <= REQUESTS_WAITING + 1


async def test_sixteen_requests_behind_one_are_all_answered(port: int, seen: Seen) -> None:
    async with wire(port) as client:
        client.send(GET * (REQUESTS_WAITING + 1))
        await client.until(REQUESTS_WAITING + 1)
    assert seen.requests == REQUESTS_WAITING + 1


async def test_an_answer_that_nobody_reads_is_given_up(seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    assert http_protocol.UNREAD_SECONDS == 60
    monkeypatch.setattr(http_protocol, "UNREAD_SECONDS", 0.5)
    connections = bounded(10, 10)
    async with listening(routes_of(seen), connections) as port, wire(port) as client:
        client.transport.pause_reading()
        client.send(b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        async with asyncio.timeout(PATIENCE):
            while not seen.requests or connections.open:
                await asyncio.sleep(0.05)
        client.transport.resume_reading()
        await client.until_closed()
        assert len(client.received) < len(LARGE)


# --- silence ---


@pytest.mark.parametrize(
    "begin",
    [b"", b"GET /sm", b"GET /small HTTP/1.1\r\nHost: x\r\nX: ", GET, GET + b"GET /small HTTP/1.1\r\n"],
    ids=["never a word", "half a line", "half a head", "idle after an answer", "half a second head"],
)
async def test_a_silent_connection_is_closed(port: int, monkeypatch: pytest.MonkeyPatch, begin: bytes) -> None:
    assert http_protocol.SILENT_SECONDS == 15
    monkeypatch.setattr(http_protocol, "SILENT_SECONDS", 0.5)
    async with wire(port) as client:
        client.send(begin)
        await client.until_closed()


@pytest.mark.parametrize(
    ("begin", "trickle"),
    [
        (b"GET /small HTTP/1.1\r\nHost: x\r\nX: ", b"v"),
        (b"GET /small HTTP/1.1\r\nHost: x\r\n", b"a: b\r\n"),
        (GET, b"\r\n"),
        (b"POST /refusing HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n", b"b"),
        (b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n", b"b"),
    ],
    ids=["header value", "headers", "empty lines", "body of a refused request", "body"],
)
async def test_what_trickles_for_ever_is_closed(
    port: int, monkeypatch: pytest.MonkeyPatch, begin: bytes, trickle: bytes
) -> None:
    monkeypatch.setattr(http_protocol, "SILENT_SECONDS", 0.5)
    monkeypatch.setattr(http_protocol, "BODY_SECONDS", 0.5)
    monkeypatch.setattr(request_body, "BODY_SECONDS", 0.5)
    async with wire(port) as client:
        client.send(begin)
        async with asyncio.timeout(PATIENCE):
            while not client.closed.done():
                client.send(trickle)
                await asyncio.wait({client.closed}, timeout=0.1)


async def test_a_request_at_work_and_an_answer_that_is_read_slowly_are_not_cut_off(
    port: int, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_protocol, "SILENT_SECONDS", 0.2)
    async with wire(port) as waiting, wire(port) as reading:
        waiting.send(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        reading.transport.pause_reading()
        reading.send(b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        await asyncio.sleep(3)
        seen.go_on.set()
        await waiting.until(1, b"done")
        reading.transport.resume_reading()
        await reading.until_closed()
        assert reading.received.endswith(b"x" * len(LARGE))


async def test_a_slow_client_that_reads_what_the_kernel_has_is_not_cut_off(
    seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Megabytes are on their way, and for longer than `UNREAD_SECONDS` the server itself gets rid of nothing."""
    monkeypatch.setattr(http_protocol, "UNREAD_SECONDS", 4.0)
    loop, connections = asyncio.get_running_loop(), bounded(10, 10)
    async with listening(routes_of(seen), connections) as port:
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.setblocking(False)
            await loop.sock_sendall(client, b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
            ends = loop.time() + 10
            while loop.time() < ends:
                assert await loop.sock_recv(client, 8 * 1024)
                await asyncio.sleep(0.1)
            assert connections.open == 1


# --- how many ---


def bounded(most: int, of_an_address: int) -> HttpConnections:
    return HttpConnections(most, of_an_address, unbounded=lambda address: address == "127.0.0.1")


async def asked(client: Wire) -> None:
    """One request, answered."""
    client.send(GET)
    await client.until(client.received.count(b"HTTP/1.1 ") + 1)
    assert client.status == 200


async def test_silent_connections_of_one_address_push_out_each_other_and_nobody_else(seen: Seen) -> None:
    async with listening(routes_of(seen), bounded(100, 4)) as port, AsyncExitStack() as stack:

        async def connected(source: str) -> Wire:
            return await stack.enter_async_context(wire(port, source))

        owner, proven = await connected("127.0.0.3"), await connected("127.0.0.2")
        await asked(proven)
        silent = [await connected("127.0.0.2") for _ in range(6)]
        for pushed_out in silent[:3]:
            await pushed_out.until_closed()
        for client in (owner, proven, *silent[3:]):
            await asked(client)
        for client in [await connected("127.0.0.1") for _ in range(10)]:
            await asked(client)


async def test_at_the_bound_the_oldest_that_never_asked_anything_closes_first(seen: Seen) -> None:
    async with listening(routes_of(seen), bounded(4, 4)) as port, AsyncExitStack() as stack:
        first, second, *silent = [await stack.enter_async_context(wire(port)) for _ in range(4)]
        await asked(second)
        await asked(first)
        owner = await stack.enter_async_context(wire(port))
        await asked(owner)
        await silent[0].until_closed()
        last = await stack.enter_async_context(wire(port))
        await asked(last)
        await silent[1].until_closed()
        # Now all have had an answer: the one that was idle longest closes.
        await asked(await stack.enter_async_context(wire(port)))
        await second.until_closed()
        for client in (first, owner, last):
            await asked(client)


async def test_silent_connections_do_not_push_out_an_upload_that_is_coming(seen: Seen) -> None:
    connections = bounded(3, 3)
    async with listening(routes_of(seen), connections) as port, AsyncExitStack() as stack:
        upload, *silent = [await stack.enter_async_context(wire(port)) for _ in range(3)]
        upload.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 20\r\n\r\n")
        upload.send(b"x" * 10)
        async with asyncio.timeout(PATIENCE):
            while not seen.requests:
                await asyncio.sleep(0.05)
            began = connections.now
            while connections.now == began:
                await asyncio.sleep(0.05)
        upload.send(b"x" * 5)
        await asyncio.sleep(0.5)
        await asked(await stack.enter_async_context(wire(port)))
        await silent[0].until_closed()
        upload.send(b"x" * 5)
        await upload.until(1, b'"length":20')


async def test_requests_at_work_and_feeds_are_never_closed_for_others(seen: Seen) -> None:
    async with listening(routes_of(seen), bounded(3, 3)) as port, AsyncExitStack() as stack:
        feed, *working = [await stack.enter_async_context(wire(port)) for _ in range(3)]
        feed.send(HANDSHAKE + b"\r\n")
        await feed.until(1)
        for client in working:
            await asked(client)
            client.send(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        async with asyncio.timeout(PATIENCE):
            while seen.requests < 4:
                await asyncio.sleep(0.01)
        refused = await stack.enter_async_context(wire(port))
        await refused.until_closed()
        assert refused.status == 503
        seen.go_on.set()
        for client in working:
            await client.until(2, b"\r\n\r\n")
        feed.send(b"\x88\x82" + bytes(4) + b"\x03\xe8")
        await feed.until_closed()
        await asked(await stack.enter_async_context(wire(port)))


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.0.1", "::1", "::ffff:127.0.0.1"])
def test_loopback_is_recognised(address: str) -> None:
    assert is_loopback(address)
    assert not is_loopback("203.0.113.9")
    assert not is_loopback("2001:db8::1")
    assert not is_loopback("")


def test_the_limit_on_descriptors_is_raised_and_connections_stay_below_it() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
    try:
        raise_descriptor_limit()
        raised, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert raised == (MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(MOST_DESCRIPTORS, hard))
