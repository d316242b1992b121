"""Bare HTTP and Socket.IO answers written one by one, for what the demo does not do: cuts, stalls, pages, lies."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import msgspec
from aiohttp import web

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]

QUEUE = "/api/v1/queue/default"
SINCE_6_14 = (
    "/api/v1/queue/{queue_id}/item_ids",
    "/api/v1/queue/{queue_id}/items_by_ids",
    "/api/v1/queue/{queue_id}/item_summaries_by_ids",
    "/api/v1/queue/{queue_id}/list_all",
    "/api/v1/queue/{queue_id}/retry_items_by_id",
    "/api/v1/images/images_by_names",
)


@dataclass
class ReceivedRequest:
    """A request as it arrived."""

    method: str
    path: str
    query: list[tuple[str, str]]
    headers: dict[str, str]
    body: bytes
    peer: Any

    def json(self) -> Any:
        return msgspec.json.decode(self.body)


@dataclass
class RawInvokeAI:
    """`on(path, …)` writes the answers to a path: one for each request, the last for all that follow."""

    url: str = ""
    received: list[ReceivedRequest] = field(default_factory=list)
    otherwise: Callable[[web.Request, ReceivedRequest], Awaitable[web.StreamResponse | None]] | None = None
    """Answers what nothing else was written for."""
    _answers: dict[str, list[Answer]] = field(default_factory=dict)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def until_asked(self, path: str, times: int) -> None:
        """Waits for so many requests to a path."""
        async with asyncio.timeout(15):
            while len(self.to(path)) < times:
                self._changed.clear()
                await self._changed.wait()

    def on(self, path: str, *answers: Answer) -> None:
        self._answers[path] = list(answers)

    def serves(self, *routes: str, version: str = "6.14.2", **more: Any) -> None:
        """The version and the OpenAPI paths it tells."""
        self.on("/api/v1/app/version", json({"version": version} | more))
        self.on("/openapi.json", json({"openapi": "3.1.0", "paths": {route: {"get": {}} for route in routes}}))

    def to(self, path: str) -> list[ReceivedRequest]:
        return [request for request in self.received if request.path == path]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        path = request.raw_path.split("?")[0]
        peer = request.transport and request.transport.get_extra_info("peername")
        query, headers = list(request.query.items()), dict(request.headers)
        received = ReceivedRequest(request.method, path, query, headers, await request.read(), peer)
        self.received.append(received)
        self._changed.set()
        if self.otherwise is not None and path not in self._answers:
            response = await self.otherwise(request, received)
            return await page(request) if response is None else response
        answers = self._answers.get(path, [page])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        return await answer(request)


def json(value: Any, status: int = 200, **headers: str) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        body = msgspec.json.encode(value)
        return web.Response(body=body, status=status, content_type="application/json", headers=headers)

    return answer


def data(body: bytes, content_type: str = "image/png", **headers: str) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(body=body, content_type=content_type, headers=headers)

    return answer


def text(body: str, status: int, **headers: str) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(text=body, status=status, headers=headers)

    return answer


async def page(_: web.Request) -> web.StreamResponse:
    """The web app's page, with which InvokeAI answers any path it does not know (FACTS §7)."""
    return web.Response(text="<!doctype html><title>Invoke</title>", content_type="text/html")


async def gzipped(_: web.Request) -> web.StreamResponse:
    response = web.Response(body=b'{"version": "6.14.2"}', content_type="application/json")
    response.enable_compression(web.ContentCoding.gzip)
    return response


async def cut(request: web.Request) -> web.StreamResponse:
    """Takes the request and closes without a word."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


def cut_short(body: bytes, length: int, content_type: str = "application/json") -> Answer:
    """Promises `length` bytes and closes after `body`."""

    async def answer(request: web.Request) -> web.StreamResponse:
        headers = {"Content-Length": str(length), "Content-Type": content_type}
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        await response.write(body)
        assert request.transport is not None
        request.transport.close()
        return response

    return answer


def stall(after: bytes = b"", length: int = 1000) -> Answer:
    """Never ends: sends nothing, or `after`, and waits for the client to go."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if after:
            response = web.StreamResponse(headers={"Content-Length": str(length), "Content-Type": "image/png"})
            await response.prepare(request)
            await response.write(after)
        await asyncio.get_running_loop().create_future()
        raise AssertionError("a future without a result has none")

    return answer


def trickle(piece: bytes, pieces: int, seconds: float) -> Answer:
    """A piece each so many seconds, to the end."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(len(piece) * pieces), "Content-Type": "image/png"})
        await response.prepare(request)
        for _ in range(pieces):
            await asyncio.sleep(seconds)
            await response.write(piece)
        return response

    return answer


@asynccontextmanager
async def served(app: web.Application, port: int = 0) -> AsyncIterator[str]:
    """The app's URL; requests in flight are dropped at the end."""
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def raw_invokeai() -> AsyncIterator[RawInvokeAI]:
    server = RawInvokeAI()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    async with served(app) as url:
        server.url = url
        yield server


@asynccontextmanager
async def client_session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield session


def free_port() -> int:
    """A port that nobody listens on. Linux gives ports from 32768 on to connections, so no connection takes this one
    before the test listens there."""
    while True:
        with socket.socket() as probe, suppress(OSError):
            port = random.randrange(10_000, 32_000)
            probe.bind(("127.0.0.1", port))
            return port
