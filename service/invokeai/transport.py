"""One HTTP exchange with InvokeAI: login, timeouts, retries, and failures told apart by what may be done next."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, TypeVar

import aiohttp
import msgspec

from service.errors import (
    InvokeConflict,
    InvokeFailed,
    InvokeInterrupted,
    InvokeNoSuchRoute,
    InvokeNotFound,
    InvokeRefused,
    InvokeUnauthorized,
    InvokeUnreachable,
    InvokeUnreadable,
)
from service.invokeai.refusals import raise_for

T = TypeVar("T")
Query = Sequence[tuple[str, str]]

MIN_TIMEOUT = 2.0
"""InvokeAI stalls for most of a second at each item start (FACTS §5)."""
CONNECT_TIMEOUT = 10.0
TRIES = 2
MAX_ANSWER = 64 * 1024 * 1024
"""Bytes of an answer, unpacked, that are kept in memory: the names of a million images fit."""

_NEVER_SENT = (
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.ServerFingerprintMismatch,
    aiohttp.InvalidURL,
    UnicodeError,  # a host name that cannot be written in the DNS
)


class Credentials(msgspec.Struct, frozen=True):
    """A user of a multiuser server (FACTS §9)."""

    email: str
    password: str

    def __repr__(self) -> str:
        return f"Credentials({self.email!r})"


class _Session(msgspec.Struct):
    token: str


class _Request(msgspec.Struct, frozen=True):
    method: str
    path: str
    query: Query = ()
    json: bytes | None = None
    form: Callable[[], aiohttp.FormData] | None = None
    most: int | None = None
    """Bytes of its answer; None: MAX_ANSWER."""
    tries: int = TRIES

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class _Once:
    """Keeps aiohttp from sending a request again by itself, as it does with a PUT whose connection broke."""

    def __init__(self) -> None:
        self._sent = False

    async def __call__(self, request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        if self._sent:
            raise aiohttp.ServerDisconnectedError
        self._sent = True
        return await send(request)


class Transport:
    """Exchanges with one server. The session is shared and not ours to close."""

    def __init__(
        self, url: str, credentials: Credentials | None, timeout: float, session: aiohttp.ClientSession
    ) -> None:
        self.url = url.rstrip("/")
        self.timeout = max(timeout, MIN_TIMEOUT)
        self.token: str | None = None
        self._credentials = credentials
        self.session = session
        self._login_lock = asyncio.Lock()
        self._clock: tuple[datetime, float] | None = None

    def server_time(self) -> datetime | None:
        """Now on the server's clock, to the second, from its last `Date` header."""
        if self._clock is None:
            return None
        date, heard_at = self._clock
        return date + timedelta(seconds=time.monotonic() - heard_at)

    async def call(
        self,
        method: str,
        path: str,
        answer: type[T],
        *,
        query: Query = (),
        body: Any = None,
        form: Callable[[], aiohttp.FormData] | None = None,
        idempotent: bool = True,
    ) -> T:
        """The decoded answer, within the timeout over all tries. What is not idempotent is sent once."""
        request = _Request(method, path, query, None if body is None else msgspec.json.encode(body), form)
        return _decoded(request, await self._content(request, idempotent=idempotent), answer)

    async def read(self, path: str, *, most: int | None = None, tries: int = TRIES) -> bytes:
        """The body as it came, where nobody promises that it can be decoded."""
        return await self._content(_Request("GET", path, most=most, tries=tries), idempotent=True)

    async def _content(self, request: _Request, *, idempotent: bool) -> bytes:
        try:
            async with asyncio.timeout(self.timeout):
                return await (self._retried(request) if idempotent else self._sent_once(request))
        except TimeoutError:
            raise InvokeInterrupted(f"{request}: no answer within {self.timeout:g} s") from None

    async def _retried(self, request: _Request) -> bytes:
        for _ in range(request.tries - 1):
            try:
                return await self._authorized(self.session, request)
            except (InvokeInterrupted, InvokeFailed, InvokeConflict):
                await asyncio.sleep(random.uniform(0.2, 0.8))
        return await self._authorized(self.session, request)

    async def _sent_once(self, request: _Request) -> bytes:
        """On a fresh connection: one that died unnoticed would make a plain refusal look ambiguous (rule 7)."""
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
            return await self._authorized(session, request)

    async def _authorized(self, session: aiohttp.ClientSession, request: _Request) -> bytes:
        """Sent again after a login when the answer is 401: such a request had no effect."""
        token = self.token
        try:
            return await self._exchange(session, request)
        except InvokeUnauthorized:
            await self._renew(token)
            return await self._exchange(session, request)

    async def _renew(self, rejected: str | None) -> None:
        """Logs in, once for all calls whose token was rejected together."""
        async with self._login_lock:
            if self.token == rejected:
                await self._login()

    async def _login(self) -> None:
        if self._credentials is None:
            raise InvokeUnauthorized(
                401, "this server wants a login, and none is configured for its address: give its login"
            )
        user = {"email": self._credentials.email, "password": self._credentials.password, "remember_me": True}
        request = _Request("POST", "/api/v1/auth/login", (), msgspec.json.encode(user))
        self.token = None
        try:
            content = await self._exchange(self.session, request)
        except (InvokeRefused, InvokeNotFound, InvokeNoSuchRoute) as error:
            # It says nothing of what was asked for, which has had its answer: 401.
            raise InvokeUnauthorized(error.status, f"the login was refused: {error.words}") from error
        self.token = _decoded(request, content, _Session).token

    async def _exchange(self, session: aiohttp.ClientSession, request: _Request) -> bytes:
        headers = self._headers()
        if request.json is not None:
            headers["Content-Type"] = "application/json"
        sending = session.request(
            request.method,
            self.url + request.path,
            params=list(request.query),
            data=request.form() if request.form else request.json,
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._connect_timeout),
            allow_redirects=False,
            middlewares=(_Once(),),
        )
        with _failures_named(request):
            async with sending as response:
                self._note(response)
                content = await _whole(request, response)
                raise_for(response, content)
                return content

    @asynccontextmanager
    async def stream(self, path: str) -> AsyncIterator[aiohttp.ClientResponse]:
        """An unread successful response. Reading may raise aiohttp's errors; each read waits at most the timeout."""
        request = _Request("GET", path)
        try:
            async with asyncio.timeout(self.timeout):
                response = await self._open(request)
        except TimeoutError:
            raise InvokeInterrupted(f"{request}: no answer within {self.timeout:g} s") from None
        async with response:
            yield response

    async def _open(self, request: _Request) -> aiohttp.ClientResponse:
        token = self.token
        try:
            return await self._open_once(request)
        except InvokeUnauthorized:
            await self._renew(token)
            return await self._open_once(request)

    async def _open_once(self, request: _Request) -> aiohttp.ClientResponse:
        with _failures_named(request):
            response = await self.session.get(
                self.url + request.path,
                headers=self._headers() | {"Accept-Encoding": "identity"},
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._connect_timeout, sock_read=self.timeout),
                allow_redirects=False,
            )
            self._note(response)
            if response.status != HTTPStatus.OK or response.content_type == "text/html":
                async with response:
                    raise_for(response, await response.content.read(64 * 1024))
            return response

    @property
    def _connect_timeout(self) -> float:
        return min(CONNECT_TIMEOUT, self.timeout / 2)

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def _note(self, response: aiohttp.ClientResponse) -> None:
        """Keeps the server's clock, and the longer-lived token it may send along (FACTS §9)."""
        if date := response.headers.get("Date"):
            try:
                self._clock = (parsedate_to_datetime(date).astimezone(UTC), time.monotonic())
            except (ValueError, OverflowError):
                self._clock = None
        if self.token and (token := response.headers.get("X-Refreshed-Token")):
            self.token = token


async def _whole(request: _Request, response: aiohttp.ClientResponse) -> bytes:
    """The body, unpacked piece by piece, so that nothing larger than may be kept comes into being."""
    content, most = bytearray(), request.most or MAX_ANSWER
    async for piece in response.content.iter_any():
        content += piece
        if len(content) > most:
            raise InvokeInterrupted(f"{request}: the answer is longer than {most // 2**20} MB")
    return bytes(content)


def _decoded(request: _Request, content: bytes, answer: type[T]) -> T:
    """A success whose body is not what it should be: the effect is unknown."""
    try:
        return msgspec.json.decode(content, type=answer)
    except (ValueError, RecursionError) as error:  # no JSON of that type, no UTF-8, or nested without end
        raise InvokeUnreadable(f"{request}: unreadable answer: {error}") from error


@contextmanager
def _failures_named(request: _Request) -> Iterator[None]:
    """aiohttp's errors as ours: never sent, or sent with an unknown effect."""
    try:
        yield
    except _NEVER_SENT as error:
        raise InvokeUnreachable(describe(error)) from error
    except (aiohttp.ClientError, OSError) as error:
        raise InvokeInterrupted(f"{request}: {describe(error)}") from error


def describe(error: BaseException) -> str:
    """What happened, in words fit for the owner."""
    if type(error) is aiohttp.ClientConnectorError and error.os_error.errno:
        # asyncio's own words tell which call failed, and leave why to the number.
        return f"{error.host}:{error.port} cannot be reached: {os.strerror(error.os_error.errno).lower()}"
    return str(error) or type(error).__name__
