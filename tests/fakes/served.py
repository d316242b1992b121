"""A part of the service behind a real socket: its own routes, with what they depend on given by name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp
from litestar import Litestar

from service.api.error_answers import EXCEPTION_HANDLERS
from service.api.request_body import StrictRequest
from service.app import provided
from service.web.connections import HttpConnections
from service.web.server import listen, server_for

_CLOSED: Final[dict[tuple[Any, ...], list[Litestar]]] = {}
"""Apps whose server has stopped, by their routes and the names of what these depend on. They are used again:
registering a route takes a millisecond."""


@asynccontextmanager
async def listening(
    routes: Sequence[Any], connections: HttpConnections | None = None, **dependencies: Any
) -> AsyncIterator[int]:
    """The port of a server with these routes alone."""
    closed = _CLOSED.setdefault((*routes, frozenset(dependencies)), [])
    app = closed.pop() if closed else _app(routes, dependencies)
    app.state.clear()
    app.state.update(dependencies)
    listener = listen("127.0.0.1", 0)
    server = server_for(app, connections)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        await serving
        closed.append(app)


def _app(routes: Sequence[Any], names: Iterable[str]) -> Litestar:
    return Litestar(
        list(routes),
        dependencies={name: provided(name) for name in names},
        exception_handlers=EXCEPTION_HANDLERS,
        request_class=StrictRequest,
        openapi_config=None,
        logging_config=None,
    )


@asynccontextmanager
async def served(routes: Sequence[Any], **dependencies: Any) -> AsyncIterator[aiohttp.ClientSession]:
    """A client whose base URL is a server with these routes alone."""
    async with (
        listening(routes, **dependencies) as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client,
    ):
        yield client
