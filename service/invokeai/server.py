"""Version, routes, login and models of one InvokeAI server, and how its calls choose a route."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, TypeVar
from urllib.parse import quote

import aiohttp
import msgspec
import structlog

from service.errors import (
    InvokeError,
    InvokeNoSuchRoute,
    InvokeNotFound,
    InvokeTooLong,
    InvokeUnreachable,
    InvokeUnreadable,
)
from service.invokeai.answers import AuthStatus, Models, OpenAPI, ServerInfo, Version
from service.invokeai.bounds import LONGEST_LABEL, label
from service.invokeai.events import InvokeStruct
from service.invokeai.gateway import Gateway
from service.invokeai.model import Model
from service.invokeai.transport import Credentials, Transport
from service.invokeai.versions import AUTH_STATUS, routes_of

log = structlog.get_logger()

Found = TypeVar("Found")
Key = TypeVar("Key")
Piece = TypeVar("Piece")

LONGEST_VERSION = 100
LONGEST_OPENAPI = 4 * 1024 * 1024
LONGEST_ROUTE = 255
MOST_ROUTES = 2000
"""InvokeAI has about 250."""
OPENAPI_SECONDS = 10.0
CLOCK_STEP = timedelta(seconds=1)
"""The resolution of HTTP's `Date` (RFC 9110)."""


class Server:
    """One server and one queue of it."""

    def __init__(
        self,
        url: str,
        queue_id: str = "default",
        credentials: Credentials | None = None,
        timeout: float = 30.0,
        *,
        session: aiohttp.ClientSession,
        gateway: Gateway | None = None,
    ) -> None:
        self.queue_id = queue_id
        self.info: ServerInfo | None = None
        self._transport = Transport(url, credentials, timeout, session, gateway)
        self._call = self._transport.call

    @property
    def url(self) -> str:
        return self._transport.url

    @property
    def timeout(self) -> float:
        return self._transport.timeout

    @property
    def session(self) -> aiohttp.ClientSession:
        return self._transport.session

    @property
    def gateway(self) -> Gateway:
        return self._transport.gateway

    @property
    def token(self) -> str | None:
        """The token of the present login; None on single-user servers."""
        return self._transport.token

    def server_time(self) -> datetime | None:
        """The time on the server's clock, to the second; None before the first answer."""
        return self._transport.server_time()

    async def connect(self, *, again: bool = False) -> ServerInfo:
        """Reads version and routes, and logs in if the server wants it. `again`: the server has answered all the time,
        so its routes are read again only if its version changed."""
        version = await self._version()
        known = self.info
        if again and known is not None and known.version == version.version:
            routes, listed = known.routes, known.listed
        else:
            routes, listed = await self._routes(version.version)
        multiuser = await self._log_in(routes, listed)
        self.info = ServerInfo(version.version, routes, multiuser, version.demo, listed)
        return self.info

    async def version(self) -> str:
        return (await self._version()).version

    async def _version(self) -> Version:
        answer = await self._call("GET", "/api/v1/app/version", Version)
        kept = "".join(filter(str.isprintable, answer.version[:LONGEST_LABEL]))[:LONGEST_VERSION]  # no column holds NUL
        return Version(kept, answer.demo)

    async def _routes(self, version: str) -> tuple[frozenset[str], bool]:
        """All routes and True; or, if the server cannot list them, the routes of its version and False: one custom node
        makes /openapi.json a 500, and a proxy may pass only /api."""
        try:
            async with asyncio.timeout(OPENAPI_SECONDS):
                content = await self._transport.read("/openapi.json", most=LONGEST_OPENAPI, tries=1)
            paths = msgspec.json.decode(content, type=OpenAPI).paths
            routes = islice((path for path in paths if len(path) <= LONGEST_ROUTE), MOST_ROUTES)
            return frozenset(routes), True
        except InvokeUnreachable:
            raise
        except (InvokeError, TimeoutError, ValueError, RecursionError) as error:
            log.info("routes_by_version", url=self.url, version=version, error=str(error) or "no answer")
            return routes_of(version), False

    async def _log_in(self, routes: frozenset[str], listed: bool) -> bool:
        """Logs in, and returns whether the server has users. Raises `InvokeUnauthorized` if it refuses the login."""
        multiuser = False
        if AUTH_STATUS in routes:
            try:
                multiuser = (await self._call("GET", AUTH_STATUS, AuthStatus)).multiuser_enabled
            except InvokeUnreachable:
                raise
            except InvokeError as error:
                log.info("login_by_trying", url=self.url, error=str(error))
            else:
                if not multiuser:
                    return False
        elif listed:
            return False
        await self._call("GET", self._queue("status"), msgspec.Raw)  # answers 401 unless our token is good
        return multiuser or self.token is not None

    async def models(self) -> list[Model]:
        """All models that can be read and stored."""
        found, refused = one_by_one((await self._call("GET", "/api/v2/models/", Models)).models, Model)
        for _, why in refused:
            log.warning("model_not_readable", url=self.url, reason=why)
        return found

    async def _in_pieces(
        self, path: str, key: str, values: Sequence[Any], size: int, many: type[list[Found]]
    ) -> list[Found]:
        """Reads by ids or names with POST, `size` at a time, and fewer if the answer is too long: an item may have a
        workflow of megabytes. Raises InvokeTooLong if one alone is too long."""
        found: list[Found] = []
        for piece in pieces(values, size):
            try:
                found += await self._call("POST", path, many, body={key: piece})
            except InvokeTooLong:
                if len(piece) == 1:
                    raise
                found += await self._in_pieces(path, key, piece, (len(piece) + 1) // 2, many)
        return found

    async def _found(self, read: Callable[[Key], Awaitable[Found]], keys: Sequence[Key]) -> list[Found]:
        """Reads one by one, for servers without the bulk route. Leaves out keys that do not exist or cannot be read."""
        found: list[Found] = []
        for key in keys:
            try:
                found.append(await read(key))
            except (InvokeNotFound, InvokeUnreadable):
                continue
        return found

    def _queue(self, route: str) -> str:
        return f"/api/v1/queue/{quoted(self.queue_id)}/{route}"

    async def _info(self) -> ServerInfo:
        return self.info or await self.connect()

    async def _by(
        self, route: str, ask: Callable[[], Awaitable[Found]], otherwise: Callable[[], Awaitable[Found]]
    ) -> Found:
        """Calls `ask` if the server has the route (an OpenAPI path), else `otherwise`. A route that was only assumed
        from the version and is missing is not tried again."""
        info = await self._info()
        if route in info.routes:
            try:
                return await ask()
            except InvokeNoSuchRoute:
                if info.listed:
                    raise
                self.info = msgspec.structs.replace(info, routes=info.routes - {route})
        return await otherwise()


def one_by_one(
    parts: Sequence[msgspec.Raw], kind: type[InvokeStruct]
) -> tuple[list[Any], list[tuple[msgspec.Raw, str]]]:
    """The parts of an answer that can be decoded, and the others with the error of each: one bad record stops
    no other."""
    found, refused = [], []
    for part in parts:
        try:
            found.append(msgspec.json.decode(part, type=kind))
        except (ValueError, RecursionError) as error:
            refused.append((part, label(str(error))))
    return found, refused


def quoted(part: str) -> str:
    """A name as one segment of a path."""
    return quote(part, safe="")


def pieces(values: Sequence[Piece], size: int) -> list[Sequence[Piece]]:
    """As many of them at a time as are asked for in one call."""
    return [values[start : start + size] for start in range(0, len(values), size)]
