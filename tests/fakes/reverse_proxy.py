"""A reverse proxy in front of an InvokeAI, real or not: what stands between the two, and what goes wrong there."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import aiohttp
import yarl
from aiohttp import web

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "content-encoding", "upgrade", "host"}

Fault = Callable[[web.Request], Awaitable[web.StreamResponse | None]]
"""Answers in the place of the server; None passes the request on."""


class ReverseProxy:
    """Passes HTTP and websockets to `upstream`, which may be changed at any time. Each fault looks at each request, in
    order, until one answers; `damage` changes the bytes of each body that comes back from below `/api/v1/images/i/`."""

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream.rstrip("/")
        self.url = ""
        self.websockets = True
        self.passes_host = False
        self.strips = ""
        """What it takes off the beginning of each path."""
        self.faults: list[Fault] = []
        self.damage: Callable[[bytes], bytes] | None = None
        self.asked: list[tuple[str, str]] = []
        """Method and path of every request, also of those a fault answered."""
        self._http: aiohttp.ClientSession
        self._open: dict[web.WebSocketResponse, asyncio.Transport | None] = {}

    async def cut(self) -> None:
        """Closes every websocket that is open now."""
        for socket in list(self._open):
            await socket.close()

    def abort(self) -> None:
        """Breaks every websocket that is open now, without a goodbye."""
        for transport in self._open.values():
            if transport is not None:
                transport.abort()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.method, request.path))
        for fault in self.faults:
            if (answer := await fault(request)) is not None:
                return answer
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._websocket(request) if self.websockets else web.Response(status=400, text="no upgrade")
        return await self.http_answer(request)

    def _passed(self, request: web.Request) -> dict[str, str]:
        """Headers of the request that go on to the server."""
        host = {"Host": request.headers["Host"]} if self.passes_host else {}
        return {k: v for k, v in request.headers.items() if k.lower() not in HOP_BY_HOP} | host

    def _target(self, request: web.Request) -> yarl.URL:
        path = request.raw_path.removeprefix(self.strips)
        return yarl.URL(self.upstream + (path if path.startswith("/") else f"/{path}"), encoded=True)

    async def http_answer(self, request: web.Request) -> web.StreamResponse:
        """What the server answers."""
        headers = self._passed(request)
        body = await request.read()
        try:
            async with self._http.request(
                request.method, self._target(request), headers=headers, data=body, allow_redirects=False
            ) as answer:
                content = await answer.read()
                if self.damage is not None and request.path.startswith("/api/v1/images/i/"):
                    content = self.damage(content)
                kept = {k: v for k, v in answer.headers.items() if k.lower() not in HOP_BY_HOP}
                return web.Response(status=answer.status, headers=kept, body=content)
        except aiohttp.ClientError as error:
            return web.Response(status=502, text=f"bad gateway: {error}")

    async def _websocket(self, request: web.Request) -> web.StreamResponse:
        try:
            passed = {k: v for k, v in self._passed(request).items() if not k.lower().startswith("sec-websocket-")}
            upstream = await self._http.ws_connect(self._target(request), headers=passed, max_msg_size=2**26)
        except aiohttp.ClientError:
            return web.Response(status=502, text="bad gateway")
        browser = web.WebSocketResponse(max_msg_size=2**26)
        await browser.prepare(request)
        self._open[browser] = request.transport

        async def pump(source: web.WebSocketResponse | aiohttp.ClientWebSocketResponse, target: object) -> None:
            async for message in source:
                with suppress(ConnectionError):
                    if message.type is aiohttp.WSMsgType.TEXT:
                        await target.send_str(message.data)  # type: ignore[attr-defined]
                    elif message.type is aiohttp.WSMsgType.BINARY:
                        await target.send_bytes(message.data)  # type: ignore[attr-defined]

        ways = [asyncio.create_task(pump(browser, upstream)), asyncio.create_task(pump(upstream, browser))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            self._open.pop(browser, None)
            await upstream.close()
            await browser.close()
        return browser


@asynccontextmanager
async def reverse_proxy(
    upstream: str, port: int = 0, *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[ReverseProxy]:
    """One that listens on 127.0.0.1, on a port of its own unless one is given."""
    proxy = ReverseProxy(upstream)
    app = web.Application(client_max_size=2**28)
    app.router.add_route("*", "/{path:.*}", proxy.handle)
    runner = web.AppRunner(app, shutdown_timeout=1)
    async with aiohttp.ClientSession(auto_decompress=True) as proxy._http:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls)
        await site.start()
        proxy.url = f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield proxy
        finally:
            await runner.cleanup()


def json_404() -> Fault:
    """A gateway that answers InvokeAI's own JSON 404 to everything."""

    async def fault(request: web.Request) -> web.StreamResponse:
        return web.json_response({"detail": "Not Found"}, status=404)

    return fault
