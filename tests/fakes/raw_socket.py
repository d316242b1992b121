"""InvokeAI's socket frame by frame, with the faults a well-meant server does not have."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web

from tests.fakes.raw_invokeai import RawInvokeAI, served

OPEN = {"sid": "e", "upgrades": [], "maxPayload": 1000000}
EMITTED = re.compile(r"42(\d*)(.*)", re.DOTALL)


def encode(value: Any) -> str:
    return msgspec.json.encode(value).decode()


@dataclass
class Connection:
    """One websocket as the server sees it."""

    socket: web.WebSocketResponse
    request: web.Request
    auth: Any = None
    subscribed: Any = None
    ended: bool = False
    speaking: asyncio.Task[None] | None = None

    @property
    def client_disconnected(self) -> bool:
        """The client closed the websocket, rather than just went."""
        return self.socket.close_code == WSCloseCode.OK

    async def event(self, name: str, *payload: Any) -> None:
        await self.frame("42" + encode([name, *payload]))

    async def frame(self, text: str) -> None:
        await self.socket.send_str(text)

    async def disconnect(self) -> None:
        """The server ends the namespace, politely."""
        await self.frame("41")

    def drop(self) -> None:
        """The connection breaks."""
        assert self.request.transport is not None
        self.request.transport.abort()


@dataclass
class RawSockets:
    """What each next connection meets, and all there have been. It never pings."""

    rest: RawInvokeAI
    url: str = ""
    ping_milliseconds: int = 25_000
    sends_open: bool = True
    accepts: bool = True
    rejection: str = ""
    """Said in place of a welcome."""
    rejected: int = 0
    acknowledges: bool = True
    subscribed: Callable[[Connection], Awaitable[None]] | None = None
    """What is said over each socket that has subscribed."""
    opening: str | None = None
    """The first frame, in place of engine.io's own."""
    connections: list[Connection] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def until(self, reached: Callable[[], object]) -> None:
        """Waits for something the server can see."""
        async with asyncio.timeout(15):
            while not reached():
                self._changed.clear()
                await self._changed.wait()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(max_msg_size=0)
        await socket.prepare(request)
        connection = Connection(socket, request)
        self.connections.append(connection)
        self._changed.set()
        try:
            if self.opening is not None:
                await connection.frame(self.opening)
            elif self.sends_open:
                pings = {"pingInterval": self.ping_milliseconds, "pingTimeout": self.ping_milliseconds}
                await connection.frame("0" + encode(OPEN | pings))
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    await self._answer(connection, message.data)
                    self._changed.set()
        finally:
            connection.ended = True
            if connection.speaking is not None:
                connection.speaking.cancel()
            self._changed.set()
        return socket

    async def _answer(self, connection: Connection, text: str) -> None:
        if text.startswith("40"):
            connection.auth = msgspec.json.decode(text[2:]) if text[2:] else None
            self.rejected += not self.accepts or bool(self.rejection)
            rejection = self.rejection or ("" if self.accepts else "Connection rejected by server")
            await connection.frame("44" + encode({"message": rejection}) if rejection else '40{"sid":"s"}')
        elif emitted := EMITTED.fullmatch(text):
            number, arguments = emitted[1], msgspec.json.decode(emitted[2])
            if arguments[0] == "subscribe_queue":
                connection.subscribed = arguments[1]
            if number and self.acknowledges:
                await connection.frame(f"43{number}[null]")
            if arguments[0] == "subscribe_queue" and self.subscribed is not None:
                connection.speaking = asyncio.create_task(_speak(self.subscribed(connection)), name="speaking")


async def _speak(words: Awaitable[None]) -> None:
    """Until the socket ends."""
    with suppress(ConnectionError):
        await words


@asynccontextmanager
async def raw_sockets(path: str = "", port: int = 0) -> AsyncIterator[RawSockets]:
    """REST and socket of one server, whose API lies under `path`."""
    rest = RawInvokeAI()
    sockets = RawSockets(rest)
    app = web.Application()
    app.router.add_get(f"{path}/ws/socket.io/", sockets.handle)
    app.router.add_route("*", "/{path:.*}", rest.handle)
    async with served(app, port) as url:
        rest.url, sockets.url = url, url + path
        yield sockets
        for connection in sockets.connections:
            if not connection.ended:
                connection.drop()
