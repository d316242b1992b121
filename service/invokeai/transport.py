"""HTTP requests to InvokeAI: login, timeouts, retries, and errors by what may be done next."""

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

from service.config.proxies import UnusableProxy, proxy_options
from service.errors import (
    InvokeConflict,
    InvokeFailed,
    InvokeGatewayRefused,
    InvokeInterrupted,
    InvokeNoSuchRoute,
    InvokeNotFound,
    InvokeRefused,
    InvokeTooLong,
    InvokeUnauthorized,
    InvokeUnreachable,
    InvokeUnreadable,
)
from service.invokeai.answers import LONGEST, SHORT
from service.invokeai.bounds import label
from service.invokeai.gateway import Gateway, raise_for_gateway
from service.invokeai.refusals import raise_for

T = TypeVar("T")
Query = Sequence[tuple[str, str]]

MIN_TIMEOUT = 2.0
"""Seconds. InvokeAI stalls for most of a second at each item start (FACTS §5)."""
CONNECT_TIMEOUT = 10.0
TRIES = 2
MAX_ANSWER = 16 * 1024 * 1024
"""Bytes of an answer, decompressed, that are kept in memory: 50 whole items, 1000 images or all models fit."""
LONGEST_TOKEN = 8192
TRUE_TIMES = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
"""A server's `Date` outside of this range is ignored."""

ONE_AUTHORIZATION = (
    "InvokeAI wants its own login, and the gateway before it has one in the same header (Authorization), of which a"
    " request has one: let the gateway recognise Darkroom by another header, or by its address, or switch multiuser off"
)

_NEVER_SENT = (
    aiohttp.ClientConnectorError,
    aiohttp.ClientHttpProxyError,
    UnusableProxy,
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


class _LoginAnswer(msgspec.Struct):
    token: str


class _Request(msgspec.Struct, frozen=True):
    method: str
    path: str
    query: Query = ()
    json: bytes | None = None
    form: Callable[[], aiohttp.FormData] | None = None
    most: int | None = None
    """Longest answer in bytes. None: MAX_ANSWER."""
    tries: int = TRIES

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class _SendOnce:
    """Sends a request once. aiohttp would send a PUT again by itself when its connection broke."""

    def __init__(self) -> None:
        self._sent = False

    async def __call__(self, request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        if self._sent:
            raise aiohttp.ServerDisconnectedError
        self._sent = True
        return await send(request)


class Transport:
    """HTTP requests to one server. The session is shared and not closed here."""

    def __init__(
        self,
        url: str,
        credentials: Credentials | None,
        timeout: float,
        session: aiohttp.ClientSession,
        gateway: Gateway | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        self.timeout = max(timeout, MIN_TIMEOUT)
        self.token: str | None = None
        self.gateway = gateway or Gateway()
        self._tls = self.gateway.tls()
        self._credentials = credentials
        self.session = session
        self._login_lock = asyncio.Lock()
        self._clock: tuple[datetime, float] | None = None

    def server_time(self) -> datetime | None:
        """The time on the server's clock, to the second, from its last `Date` header."""
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
        seconds: float | None = None,
    ) -> T:
        """The decoded answer, within `seconds` (None: the timeout) over all tries. A request that is not idempotent is
        sent once."""
        json = None if body is None else msgspec.json.encode(body)
        request = _Request(method, path, query, json, form, LONGEST.get(answer))
        return _decoded(request, await self._content(request, idempotent=idempotent, seconds=seconds), answer)

    async def read(self, path: str, *, most: int | None = None, tries: int = TRIES) -> bytes:
        """The body as it came, for answers that may not be decodable."""
        return await self._content(_Request("GET", path, most=most, tries=tries), idempotent=True)

    async def _content(self, request: _Request, *, idempotent: bool, seconds: float | None = None) -> bytes:
        seconds = self.timeout if seconds is None else seconds
        try:
            async with asyncio.timeout(seconds):
                return await (self._retried(request) if idempotent else self._sent_once(request))
        except TimeoutError:
            raise InvokeInterrupted(f"{request}: no answer within {seconds:g} s") from None

    async def _retried(self, request: _Request) -> bytes:
        for _ in range(request.tries - 1):
            try:
                return await self._authorized(self.session, request)
            except InvokeTooLong:
                raise
            except (InvokeInterrupted, InvokeFailed, InvokeConflict):
                await asyncio.sleep(random.uniform(0.2, 0.8))
        return await self._authorized(self.session, request)

    async def _sent_once(self, request: _Request) -> bytes:
        """Sends on a fresh connection: one that died unnoticed would make a plain refusal look ambiguous (idempotent
        submit)."""
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
            return await self._authorized(session, request)

    async def _authorized(self, session: aiohttp.ClientSession, request: _Request) -> bytes:
        """Sends, and sends again after a login if the answer is 401: such a request had no effect."""
        token = self.token
        try:
            return await self._exchange(session, request)
        except InvokeGatewayRefused:
            raise
        except InvokeUnauthorized:
            await self._renew(token)
            return await self._exchange(session, request)

    async def _renew(self, rejected: str | None) -> None:
        """Logs in once for all calls whose token was rejected at the same time."""
        async with self._login_lock:
            if self.token == rejected:
                await self._login()

    async def _login(self) -> None:
        if self.gateway.uses_authorization:
            raise InvokeUnauthorized(401, ONE_AUTHORIZATION)
        if self._credentials is None:
            raise InvokeUnauthorized(
                401, "this server wants a login, and none is configured for its address: give its login under Edit"
            )
        user = {"email": self._credentials.email, "password": self._credentials.password, "remember_me": True}
        request = _Request("POST", "/api/v1/auth/login", (), msgspec.json.encode(user), most=SHORT)
        self.token = None
        try:
            content = await self._exchange(self.session, request)
        except (InvokeRefused, InvokeNotFound, InvokeNoSuchRoute) as error:
            # This is not the answer to the request itself, which was 401.
            raise InvokeUnauthorized(
                error.status, f"the login was refused: {error.words}. Give another under Edit"
            ) from error
        token = _decoded(request, content, _LoginAnswer).token
        if not _is_token(token):
            raise InvokeUnreadable(f"{request}: the token of the login is none that can be sent")
        self.token = token

    async def _exchange(self, session: aiohttp.ClientSession, request: _Request) -> bytes:
        headers = self._headers()
        if request.json is not None:
            headers["Content-Type"] = "application/json"
        with _failures_named(request):
            async with session.request(
                request.method,
                self.url + request.path,
                params=list(request.query),
                data=request.form() if request.form else request.json,
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._connect_timeout),
                allow_redirects=False,
                middlewares=(_SendOnce(),),
                **self._connection_options(),
            ) as response:
                self._note(response)
                content = await _whole(request, response)
                self._raise_for(response, content)
                return content

    @asynccontextmanager
    async def stream(self, path: str) -> AsyncIterator[aiohttp.ClientResponse]:
        """A successful response whose body is not read yet. Reading may raise aiohttp's errors; each read waits at most
        the timeout."""
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
        except InvokeGatewayRefused:
            raise
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
                **self._connection_options(),
            )
            self._note(response)
            if response.status != HTTPStatus.OK or response.content_type == "text/html":
                async with response:
                    self._raise_for(response, await response.content.read(64 * 1024))
            return response

    @property
    def _connect_timeout(self) -> float:
        return min(CONNECT_TIMEOUT, self.timeout / 2)

    def _connection_options(self) -> dict[str, Any]:
        """aiohttp's options for TLS and proxy."""
        return {"ssl": self._tls or True, **proxy_options(self.url)}

    def _headers(self) -> dict[str, str]:
        headers = self.gateway.request_headers()
        return headers | {"Authorization": f"Bearer {self.token}"} if self.token else headers

    def _raise_for(self, response: aiohttp.ClientResponse, content: bytes) -> None:
        raise_for_gateway(response, content, self.gateway)
        raise_for(response, content, self.gateway.without_secrets)

    def _note(self, response: aiohttp.ClientResponse) -> None:
        """Keeps the server's clock, and the longer-lived token that it may send (FACTS §9)."""
        if date := response.headers.get("Date"):
            try:
                now = parsedate_to_datetime(date).astimezone(UTC)
            except (ValueError, OverflowError):
                now = None
            is_true = now is not None and TRUE_TIMES[0] <= now < TRUE_TIMES[1]
            self._clock = (now, time.monotonic()) if now is not None and is_true else None
        token = response.headers.get("X-Refreshed-Token")
        if self.token and token is not None and _is_token(token):
            self.token = token


def _is_token(token: str) -> bool:
    """Whether it can be sent in a header."""
    return 0 < len(token) <= LONGEST_TOKEN and token.isascii() and token.isprintable() and " " not in token


async def _whole(request: _Request, response: aiohttp.ClientResponse) -> bytes:
    """The body, decompressed piece by piece, so that no more than the bound is ever in memory."""
    content, most = bytearray(), request.most or MAX_ANSWER
    async for piece in response.content.iter_any():
        content += piece
        if len(content) > most:
            raise InvokeTooLong(f"{request}: the answer is longer than {most // 2**20} MB")
    return bytes(content)


def _decoded(request: _Request, content: bytes, answer: type[T]) -> T:
    """The decoded body. Raises InvokeUnreadable for a success with a wrong body: the effect is unknown."""
    try:
        return msgspec.json.decode(content, type=answer)
    except (ValueError, RecursionError) as error:  # not JSON of that type, not UTF-8, or nested too deeply
        raise InvokeUnreadable(f"{request}: unreadable answer: {label(str(error))}") from error


@contextmanager
def _failures_named(request: _Request) -> Iterator[None]:
    """Turns aiohttp's errors into ours: never sent, or sent with an unknown effect."""
    try:
        yield
    except _NEVER_SENT as error:
        raise InvokeUnreachable(describe(error)) from error
    except (aiohttp.ClientError, OSError) as error:
        raise InvokeInterrupted(f"{request}: {describe(error)}") from error


def describe(error: BaseException) -> str:
    """The error as a sentence for the owner. It may be in the server's own words."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        why = getattr(error.certificate_error, "verify_message", "it cannot be verified").rstrip(".")
        return (
            f"the certificate of {error.host}:{error.port} is not trusted: {why}. Give the certificate of its authority"
            " under Edit, Gateway, or with SSL_CERT_FILE"
        )
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the proxy that HTTPS_PROXY names does not let it through ({error.status})"
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        why = os.strerror(error.os_error.errno).lower() if error.os_error.errno else "no answer"
        return f"the proxy that HTTP_PROXY or HTTPS_PROXY names cannot be reached: {why}"
    if type(error) is aiohttp.ClientConnectorError and error.os_error.errno:
        # asyncio's own words name the call, and give the reason as a number only.
        return f"{error.host}:{error.port} cannot be reached: {os.strerror(error.os_error.errno).lower()}"
    return label(str(error)) or type(error).__name__
