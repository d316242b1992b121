"""The whole service in the test's own event loop, behind a real socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
from litestar import Litestar
from websockets.asyncio.client import ClientConnection, connect

from service.app import create_app, prepare
from service.config.base_path import BelowBasePath
from service.config.settings import Settings
from service.web.server import listen, server_for

NO_SERVER = "http://127.0.0.1:9"
"""A port where no InvokeAI answers."""


_CLOSED: Final[list[Litestar]] = []
"""Apps that were closed, to be opened again: registering all routes takes a quarter of a second."""


@dataclass
class Darkroom:
    """`http` speaks to it as a script does; `reasons` are why it gave up."""

    app: Litestar
    port: int
    http: aiohttp.ClientSession
    reasons: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def feed(self, **options: Any) -> Feed:
        return Feed(f"ws://127.0.0.1:{self.port}/api/v1/feed", **options)


class Feed:
    """A browser on the feed. `messages` is what it has read so far."""

    def __init__(self, url: str, **options: Any) -> None:
        self._connecting = connect(url, max_size=None, max_queue=None, compression=None, close_timeout=2, **options)
        self.socket: ClientConnection
        self.messages: list[dict[str, Any]] = []

    async def __aenter__(self) -> Self:
        self.socket = await self._connecting
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.socket.close()

    async def next(self, seconds: float = 30) -> dict[str, Any]:
        async with asyncio.timeout(seconds):
            message: dict[str, Any] = json.loads(await self.socket.recv())
        self.messages.append(message)
        return message

    async def until(self, met: Callable[[dict[str, Any]], bool], seconds: float = 60) -> dict[str, Any]:
        """The first message from here on that is so."""
        async with asyncio.timeout(seconds):
            while not met(message := await self.next(seconds)):
                continue
        return message


def settings_for(folder: Path, database_url: str | None, **options: Any) -> Settings:
    return Settings(**{"data": folder, "database_url": database_url, "port": 0, "invokeai_url": NO_SERVER} | options)


@asynccontextmanager
async def running(settings: Settings, *, demo: bool = False) -> AsyncIterator[Darkroom]:
    """Open from the first request on; closed as a signal would close it. Raises what opening raises."""
    reasons: list[str] = []
    if settings.base_path or not _CLOSED:
        app = create_app(settings, demo=demo, give_up=reasons.append)
    else:
        app = _CLOSED.pop()
        prepare(app, settings, demo=demo, give_up=reasons.append)
    started: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    # Litestar's lifespan must be left by the task that entered it, and pytest tears fixtures down in another.
    life = asyncio.create_task(_live(app, settings, started, stop), name="service")
    await asyncio.wait({life, started}, return_when=asyncio.FIRST_COMPLETED)
    if life.done():
        started.cancel()
        await life
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{started.result()}") as http:
            yield Darkroom(app, started.result(), http, reasons)
    finally:
        stop.set()
        await life
        if not settings.base_path:
            _CLOSED.append(app)


async def _live(app: Litestar, settings: Settings, started: asyncio.Future[int], stop: asyncio.Event) -> None:
    async with app.lifespan():
        with listen(settings.host, settings.port) as listener:
            server = server_for(BelowBasePath(app, settings.base_path) if settings.base_path else app)
            serving = asyncio.create_task(server.serve(sockets=[listener]), name="server")
            started.set_result(listener.getsockname()[1])
            await stop.wait()
            server.should_exit = True
            await serving
