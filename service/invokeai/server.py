"""What all calls to one InvokeAI server share, and what it says of itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import quote

import aiohttp
import msgspec
import structlog

from service.errors import InvokeNotFound
from service.invokeai.answers import AuthStatus, Models, OpenAPI, ServerInfo, Version
from service.invokeai.events import Model, Said
from service.invokeai.transport import Credentials, Transport

log = structlog.get_logger()

Found = TypeVar("Found")
Key = TypeVar("Key")

CLOCK_STEP = timedelta(seconds=1)
"""What HTTP's `Date` cannot tell apart (RFC 9110)."""


class Server:
    """One server, one queue of it."""

    def __init__(
        self,
        url: str,
        queue_id: str = "default",
        credentials: Credentials | None = None,
        timeout: float = 30.0,
        *,
        session: aiohttp.ClientSession,
    ) -> None:
        self.queue_id = queue_id
        self.info: ServerInfo | None = None
        self._transport = Transport(url, credentials, timeout, session)
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
    def token(self) -> str | None:
        """Of the present login; None on single-user servers."""
        return self._transport.token

    def server_time(self) -> datetime | None:
        """Now on the server's clock, to the second; None before the first answer."""
        return self._transport.server_time()

    def clock_offset(self) -> timedelta:
        """How far the server's clock is ahead of ours, give or take CLOCK_STEP; none before the first answer."""
        now = datetime.now(UTC)
        return (self.server_time() or now) - now

    async def connect(self) -> ServerInfo:
        """Reads version and routes, and logs in where the server wants it."""
        version = await self._version()
        openapi = await self._call("GET", "/openapi.json", OpenAPI)
        routes = frozenset(openapi.paths)
        multiuser = False
        if "/api/v1/auth/status" in routes:
            multiuser = (await self._call("GET", "/api/v1/auth/status", AuthStatus)).multiuser_enabled
        if multiuser:
            await self._call("GET", self._queue("status"), msgspec.Raw)  # answers 401 unless our token is good
        self.info = ServerInfo(version.version, routes, multiuser, version.demo)
        return self.info

    async def version(self) -> str:
        return (await self._version()).version

    async def _version(self) -> Version:
        return await self._call("GET", "/api/v1/app/version", Version)

    async def models(self) -> list[Model]:
        """Without those that cannot be read or kept."""
        found, refused = one_by_one((await self._call("GET", "/api/v2/models/", Models)).models, Model)
        for _, why in refused:
            log.warning("model_not_readable", url=self.url, reason=why)
        return found

    async def _in_pieces(
        self, path: str, key: str, values: Sequence[Any], size: int, many: type[list[Found]]
    ) -> list[Found]:
        """POST reads by ids or names, so many at a time."""
        found: list[Found] = []
        for start in range(0, len(values), size):
            found += await self._call("POST", path, many, body={key: values[start : start + size]})
        return found

    async def _found(self, read: Callable[[Key], Awaitable[Found]], keys: Sequence[Key]) -> list[Found]:
        """One by one, for servers without the bulk route; leaves out what does not exist."""
        found: list[Found] = []
        for key in keys:
            try:
                found.append(await read(key))
            except InvokeNotFound:
                continue
        return found

    def _queue(self, route: str) -> str:
        return f"/api/v1/queue/{quoted(self.queue_id)}/{route}"

    async def _info(self) -> ServerInfo:
        return self.info or await self.connect()

    async def _has(self, route: str) -> bool:
        return f"/api/v1/queue/{{queue_id}}/{route}" in (await self._info()).routes


def one_by_one(parts: Sequence[msgspec.Raw], kind: type[Said]) -> tuple[list[Any], list[tuple[msgspec.Raw, str]]]:
    """The parts of an answer that can be read, and the others with what is wrong with each: one spoils no other."""
    found, refused = [], []
    for part in parts:
        try:
            found.append(msgspec.json.decode(part, type=kind))
        except (ValueError, RecursionError) as error:
            refused.append((part, str(error)))
    return found, refused


def quoted(part: str) -> str:
    """A name as one segment of a path."""
    return quote(part, safe="")
