"""One Socket.IO connection to InvokeAI's queue events, from handshake to close (FACTS §1)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import msgspec
import socketio
import structlog

from service.config.proxies import proxy_options
from service.errors import InvokeInterrupted, InvokeUnreachable
from service.invokeai.gateway import Gateway
from service.invokeai.refusals import MAX_WORDS, REDIRECTION
from service.invokeai.transport import describe

log = structlog.get_logger()

MAX_MESSAGE: Final = 16 * 1024 * 1024
"""Bytes of a message. aiohttp's own limit of 4 MiB would cut the connection at a large preview or batch."""
MAX_GREETING: Final = 64 * 1024
"""Characters of a packet that is no event: a greeting, an acknowledgement, a rejection."""
MAX_UNSENT: Final = 64
"""Pongs that wait to be sent."""
MAX_ATTACHMENTS: Final = 1
"""Attachments of a binary event. InvokeAI sends none."""
CLOSE_TIMEOUT = 10.0
AT_ONCE: Final = aiohttp.ClientWSTimeout(ws_close=0.0)
"""The close frame is sent and its answer not awaited: aiohttp would read on, for ever if a server floods."""
REFUSED = (401, 403)
NOT_SOCKET_IO: Final = "what the socket says cannot be read: is an InvokeAI behind this address?"

_EVENT: Final = re.compile(r'\["([^"\\]{1,100})"(?:,(.*))?\]', re.DOTALL)


class _Json:
    """Used by python-socketio in place of the json module. An event becomes its name and the bytes of its payload; its
    reader decodes these once, into the struct that it needs."""

    @staticmethod
    def dumps(value: Any, **_: Any) -> str:
        return msgspec.json.encode(value).decode()

    @staticmethod
    def loads(text: str) -> Any:
        event = _EVENT.fullmatch(text)
        if event is not None:
            name, payload = event.groups()
            return [name, (payload or "null").encode()]
        if len(text) > MAX_GREETING:
            raise ValueError("neither an event nor short")
        return msgspec.json.decode(text)


class _Packet(socketio.packet.Packet):  # type: ignore[misc]  # python-socketio brings no types
    """A Socket.IO packet. One that announces more attachments than an event may have is refused."""

    def decode(self, encoded_packet: str) -> int:
        count: int = super().decode(encoded_packet)
        if count > MAX_ATTACHMENTS:
            raise ValueError(f"{count} attachments")
        is_event = self.packet_type in (socketio.packet.EVENT, socketio.packet.BINARY_EVENT)
        if is_event and not (isinstance(self.data, list) and isinstance(self.data[-1], bytes)):
            raise ValueError("an event without a name")
        return count


class _Outgoing(asyncio.Queue[Any]):
    """The packets to be sent, in place of engineio's own queue: a server that pings and does not read the answers would
    fill the memory. Raises `InvokeInterrupted`, which ends the socket."""

    async def put(self, packet: Any) -> None:
        if packet is not None:  # engineio puts None to end its write loop
            is_short = packet.data is None or (isinstance(packet.data, str) and len(packet.data) <= MAX_GREETING)
            if not is_short or self.qsize() >= MAX_UNSENT:
                raise InvokeInterrupted("the server asks for more answers than it reads")
        await super().put(packet)


_BAD_GREETING: Final = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RecursionError)
"""Errors that engineio raises for a malformed greeting."""


async def _refuse_redirect(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Refuses redirects. aiohttp follows them in a websocket's handshake, to other servers as well."""
    response = await send(request)
    if response.status // 100 == REDIRECTION:
        response.close()
        raise aiohttp.WSServerHandshakeError(response.request_info, response.history, status=response.status)
    return response


class _HandshakeSession:
    """The part of an HTTP session that engineio uses. It remembers the websocket, which engineio forgets when the
    handshake breaks off. It has no `close`: engineio would close the shared session when it is garbage collected."""

    closed = False

    def __init__(self, session: aiohttp.ClientSession, gateway: Gateway) -> None:
        self.websocket: aiohttp.ClientWebSocketResponse | None = None
        self._gateway = gateway
        self._session = session

    async def ws_connect(self, url: str, **options: Any) -> aiohttp.ClientWebSocketResponse:
        """Connects to the address and nowhere else: the login's token is the first message."""
        async with aiohttp.ClientSession(
            connector=self._session.connector,
            connector_owner=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            middlewares=(_refuse_redirect,),
        ) as session:
            headers = {**(options.pop("headers", None) or {}), **self._gateway.request_headers()}
            way = {"ssl": self._gateway.tls() or True, **proxy_options(url)}
            if "proxy" in way:
                url = url.replace("ws", "http", 1)  # a proxy takes no other schemes
            self.websocket = await session.ws_connect(url, headers=headers, **way, **options)
        return self.websocket


class QueueSocket:
    """A socket to InvokeAI's events. Call `open` once and `close` always. Each event is passed to `hear(name, payload)`
    as JSON, in order. A frame that cannot be read ends the socket."""

    def __init__(
        self, session: aiohttp.ClientSession, hear: Callable[[str, bytes], None], gateway: Gateway | None = None
    ) -> None:
        self._http = _HandshakeSession(session, gateway or Gateway())
        self._rejection: str | None = None
        self._url = ""
        self._client = socketio.AsyncClient(
            reconnection=False,
            handle_sigint=False,
            json=_Json,
            serializer=_Packet,
            http_session=self._http,
            websocket_extra_options={"max_msg_size": MAX_MESSAGE, "timeout": AT_ONCE},
        )
        self._client.on("connect_error", self._rejected)
        self._client.on("*", hear)
        self._client.eio.queue = _Outgoing()
        self._apply = self._client.eio.handlers["message"]
        self._client.eio.on("message", self._receive)
        self._is_given_up = False

    async def _receive(self, frame: Any) -> None:
        """engineio runs this as a task for each frame, and would lose its errors."""
        if self._is_given_up:
            return
        try:
            await self._apply(frame)
        except Exception as error:  # noqa: BLE001 - whatever the libraries make of it
            self._is_given_up = True
            self._rejection = NOT_SOCKET_IO
            log.warning("socket_unreadable", url=self._url, error=describe(error))
            if self._http.websocket is not None:
                await self._http.websocket.close()

    def _rejected(self, reason: Any = None) -> None:
        """InvokeAI's refusal is an object; engineio's own failures are text."""
        if isinstance(reason, dict):
            words = str(reason.get("message", "no reason given"))[:MAX_WORDS]
            self._rejection = f"InvokeAI rejected the socket: {words}"

    async def open(self, url: str, token: str | None, queue_id: str, within: float) -> asyncio.Task[None]:
        """Connects and subscribes. The returned task is done when the connection is lost.

        Raises `InvokeUnreachable` or `InvokeInterrupted`, whose words say why there are no live events.
        """
        self._url = url
        try:
            async with asyncio.timeout(within):
                await self._client.connect(
                    url,
                    auth={"token": token} if token else None,
                    transports=["websocket"],
                    namespaces=["/"],
                    socketio_path=f"{urlsplit(url).path.strip('/')}/ws/socket.io",
                    wait_timeout=within,
                )
                lost: asyncio.Task[None] | None = self._client.eio.read_loop_task
                if lost is None:
                    raise InvokeInterrupted(self._rejection or "the socket was lost while connecting")
                await self._subscribe(queue_id, lost)
        except TimeoutError:
            raise InvokeInterrupted(f"the socket did not answer within {within:g} s") from None
        except (socketio.exceptions.SocketIOError, aiohttp.ClientError, OSError) as error:
            raise InvokeUnreachable(self._rejection or _why(_root(error))) from error
        except _BAD_GREETING as error:
            log.warning("socket_unreadable", url=url, error=describe(error))
            raise InvokeUnreachable(NOT_SOCKET_IO) from error
        return lost

    async def _subscribe(self, queue_id: str, lost: asyncio.Task[None]) -> None:
        """Subscribes to the queue. InvokeAI acknowledges with null, and does not answer a request that it
        cannot use."""
        acknowledged = asyncio.get_running_loop().create_future()
        await self._client.emit(
            "subscribe_queue", {"queue_id": queue_id}, callback=lambda *_: acknowledged.set_result(None)
        )
        await asyncio.wait({acknowledged, lost}, return_when=asyncio.FIRST_COMPLETED)
        if not acknowledged.done():
            raise InvokeInterrupted(self._rejection or "the socket was lost while subscribing")

    async def close(self) -> None:
        """Closes the websocket, at any stage. engineio's loops end with it."""
        reading = self._client.eio.read_loop_task
        with suppress(TimeoutError, aiohttp.ClientError, OSError):
            async with asyncio.timeout(CLOSE_TIMEOUT):
                if self._http.websocket is not None:
                    await self._http.websocket.close()
                if reading is not None:
                    await asyncio.wait({reading})
        if reading is not None and reading.done() and not reading.cancelled() and (failure := reading.exception()):
            log.warning("socket_unreadable", url=self._url, error=describe(failure))


def _why(error: BaseException) -> str:
    """A sentence for the error. An HTTP answer in place of the handshake comes from a proxy, since REST
    answers there."""
    if isinstance(error, aiohttp.WSServerHandshakeError):
        if error.status // 100 == REDIRECTION:
            return f"what stands before InvokeAI redirects the websocket ({error.status})"
        if error.status in REFUSED:
            return f"what stands before InvokeAI refuses the websocket ({error.status})"
        return "a proxy in between passes no websockets"
    return describe(error)


def _root(error: BaseException) -> BaseException:
    """The cause of engineio's "Connection error"."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return error
