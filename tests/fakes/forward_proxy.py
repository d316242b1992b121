"""A proxy as HTTP_PROXY and HTTPS_PROXY name one: CONNECT for https, absolute addresses for http."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass
class ForwardProxy:
    """Every host is 127.0.0.1 to it, at the port that is asked for."""

    url: str = ""
    wanted: str | None = None
    """The `Proxy-Authorization` that it wants."""
    asked: list[str] = field(default_factory=list)
    """The first line of every request."""
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._one(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.split("\r\n")[:-2]
        self.asked.append(first)
        method, target, _ = first.split(" ")
        if self.wanted is not None and f"proxy-authorization: {self.wanted}".lower() not in [x.lower() for x in lines]:
            writer.write(
                b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n"
                b"Connection: close\r\n\r\n"
            )
            return
        parts = urlsplit(f"//{target}" if method == "CONNECT" else target)
        upstream, to_upstream = await asyncio.open_connection("127.0.0.1", parts.port or 80)
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            # One request for each connection, but for websockets.
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            is_upgrade = any(line.lower().startswith("upgrade:") for line in lines)
            kept = [line for line in lines if not line.lower().startswith("proxy-")]
            if not is_upgrade:
                kept = [line for line in kept if not line.lower().startswith("connection:")] + ["Connection: close"]
            to_upstream.write("\r\n".join([f"{method} {path} HTTP/1.1", *kept, "", ""]).encode("latin-1"))
        try:
            await asyncio.gather(_pump(reader, to_upstream), _pump(upstream, writer))
        finally:
            to_upstream.close()

    async def stop(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        for task in list(self._tasks):
            with suppress(asyncio.CancelledError):
                await task


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while piece := await source.read(65536):
        target.write(piece)
        await target.drain()
    with suppress(OSError):
        target.write_eof() if target.can_write_eof() else target.close()


@asynccontextmanager
async def forward_proxy() -> AsyncIterator[ForwardProxy]:
    proxy = ForwardProxy()
    server = await asyncio.start_server(proxy.handle, "127.0.0.1", 0)
    proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()
        await proxy.stop()
