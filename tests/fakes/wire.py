"""A client that speaks to the server byte by byte, well or ill."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

PATIENCE = 30


class Wire(asyncio.Protocol):
    """One connection. `received` is what came, `closed` is done when the server has closed it."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport
        self._changed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.received += data
        self._changed.set()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(None)
        self._changed.set()

    def send(self, data: bytes) -> None:
        self.transport.write(data)

    @property
    def status(self) -> int:
        """Of the newest answer."""
        return int(self.received[self.received.rindex(b"HTTP/1.1 ") :].split()[1])

    async def until(self, count: int, what: bytes = b"HTTP/1.1 ") -> None:
        """Waits until so many answers have begun."""
        async with asyncio.timeout(PATIENCE):
            while self.received.count(what) < count:
                assert not self.closed.done(), bytes(self.received[-1000:])
                self._changed.clear()
                await self._changed.wait()

    async def until_closed(self) -> None:
        async with asyncio.timeout(PATIENCE):
            await asyncio.shield(self.closed)

    async def flood(self, piece: bytes, most: int) -> int:
        """How many bytes could be sent before the server closed the connection; `most` when it did not."""
        sent = 0
        while sent < most and not self.closed.done():
            self.send(piece)
            sent += len(piece)
            await asyncio.wait({self.closed}, timeout=0.005)
        return sent


@asynccontextmanager
async def wire(port: int, source: str = "127.0.0.1") -> AsyncIterator[Wire]:
    """A connection from one of this machine's addresses."""
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_connection(Wire, "127.0.0.1", port, local_addr=(source, 0))
    try:
        yield protocol
    finally:
        transport.abort()
        await asyncio.wait({protocol.closed}, timeout=PATIENCE)
