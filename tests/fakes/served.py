"""A part of the service behind a real socket: its own routes, with what they depend on given by name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from litestar import Litestar
from litestar.di import Provide

from service.api.error_answers import EXCEPTION_HANDLERS
from service.api.request_body import StrictRequest
from service.web.connections import HttpConnections
from service.web.server import listen, server_for


def given(value: Any) -> Provide:
    async def provide() -> Any:
        return value

    return Provide(provide)


@asynccontextmanager
async def listening(
    routes: Sequence[Any], connections: HttpConnections | None = None, **dependencies: Any
) -> AsyncIterator[int]:
    """The port of a server with these routes alone."""
    app = Litestar(
        list(routes),
        dependencies={name: given(value) for name, value in dependencies.items()},
        exception_handlers=EXCEPTION_HANDLERS,
        request_class=StrictRequest,
        openapi_config=None,
        logging_config=None,
    )
    listener = listen("127.0.0.1", 0)
    server = server_for(app, connections)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        await serving


@asynccontextmanager
async def served(routes: Sequence[Any], **dependencies: Any) -> AsyncIterator[aiohttp.ClientSession]:
    """A client whose base URL is a server with these routes alone."""
    async with (
        listening(routes, **dependencies) as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client,
    ):
        yield client
