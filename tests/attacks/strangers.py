"""Attackers without the password. Each goes on until it is cancelled."""

from __future__ import annotations

import asyncio
import ipaddress
import random
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp

from tests.fakes.wire import wire

HANDSHAKE = (
    b"GET /api/v1/feed HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
)
CHUNKED = b"POST /api/v1/login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"
ENDLESS_HEADS = {
    "value": (b"GET / HTTP/1.1\r\nX: ", b"v" * 65536),
    "name": (b"GET / HTTP/1.1\r\nX", b"n" * 65536),
    "URL": (b"GET /", b"u" * 65536),
    "many headers": (b"GET / HTTP/1.1\r\n", b"a: b\r\n" * 10_000),
    "trailer": (CHUNKED + b"0\r\nX: ", b"v" * 65536),
    "many trailers": (CHUNKED + b"0\r\n", b"a: b\r\n" * 10_000),
    "chunk extension": (CHUNKED + b"1;x=", b"e" * 65536),
    "websocket handshake": (HANDSHAKE + b"X: ", b"v" * 65536),
}
PIPELINES = {
    "lists": b"GET /api/v1/photos HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 1000,
    "pages": b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 1000,
    "logins": b"POST /api/v1/login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\n\r\n{}" * 1000,
}


@asynccontextmanager
async def attacking(*attacks: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """All of them at once, while the context is open; none may end by itself."""
    tasks = [asyncio.create_task(attack) for attack in attacks]
    yield
    ended = [task.exception() for task in tasks if task.done()]
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert not ended, ended


async def pour(port: int, start: bytes, more: bytes) -> None:
    """Sends without end or pause, and never reads; connects again whenever it is cut off."""
    while True:
        with suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            try:
                writer.write(start)
                while True:
                    writer.write(more)
                    await writer.drain()
                    await asyncio.sleep(0)
            finally:
                writer.transport.abort()


async def be_silent(port: int, begin: bytes) -> None:
    """Says that much and no more; connects again soon after it is cut off."""
    while True:
        with suppress(OSError):
            async with wire(port) as client:
                client.send(begin)
                await asyncio.shield(client.closed)
        await asyncio.sleep(random.uniform(0.2, 1))


async def trickle(port: int, begin: bytes, more: bytes) -> None:
    """A little each second, for as long as it is let."""
    while True:
        with suppress(OSError):
            async with wire(port) as client:
                client.send(begin)
                while not client.closed.done():
                    client.send(more)
                    await asyncio.wait({client.closed}, timeout=1)
        await asyncio.sleep(random.uniform(0.2, 1))


def any_address() -> str:
    """One of some networks of IPv4 or IPv6."""
    if random.random() < 0.5:
        return str(ipaddress.IPv4Address(random.randrange(0x0B000000, 0xDF000000)))
    return str(ipaddress.IPv6Address(random.randrange(0x2000 << 112, 0x3FFF << 112)))


async def guess(url: str, answers: Counter[int]) -> None:
    """Wrong passwords, each from another address, by login and as a bearer."""
    async with aiohttp.ClientSession(url) as http:
        while True:
            headers = {"X-Forwarded-For": any_address()}
            password = f"password{random.randrange(10**9)}"
            with suppress(aiohttp.ClientError):
                if random.random() < 0.5:
                    async with http.post("/api/v1/login", json={"password": password}, headers=headers) as response:
                        answers[response.status] += 1
                else:
                    headers["Authorization"] = f"Bearer {password}"
                    async with http.get("/api/v1/photos", headers=headers) as response:
                        answers[response.status] += 1
