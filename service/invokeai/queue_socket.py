"""One Socket.IO connection to InvokeAI's queue events, from handshake to close (FACTS §1)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec
import socketio

from service.errors import InvokeInterrupted, InvokeUnreachable
from service.invokeai.refusals import REDIRECTION
from service.invokeai.transport import describe

MAX_MESSAGE = 64 * 1024 * 1024
"""aiohttp's own limit of 4 MiB would cut the connection at a large preview or batch."""
CLOSE_TIMEOUT = 10.0
REFUSED = (401, 403)


class _Json:
    """msgspec in the place of the json module: python-socketio's decoding at 0.65 of its cost."""

    @staticmethod
    def dumps(value: Any, **_: Any) -> str:
        return msgspec.json.encode(value).decode()

    @staticmethod
    def loads(text: str | bytes) -> Any:
        return msgspec.json.decode(text)


async def _refuse_redirect(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """aiohttp follows redirects of a websocket's handshake, to other servers as well."""
    response = await send(request)
    if response.status // 100 == REDIRECTION:
        response.close()
        raise aiohttp.WSServerHandshakeError(response.request_info, response.history, status=response.status)
    return response


class _Opener:
    """What engineio uses of an HTTP session. It remembers the websocket, which engineio forgets when the handshake
    breaks off, and has no `close`: engineio would close the session, which is shared, when it is collected."""

    closed = False

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.websocket: aiohttp.ClientWebSocketResponse | None = None
        self._session = session

    async def ws_connect(self, url: str, **options: Any) -> aiohttp.ClientWebSocketResponse:
        """Where the address leads and nowhere else: the login's token is the first thing that is sent."""
        async with aiohttp.ClientSession(
            connector=self._session.connector,
            connector_owner=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            middlewares=(_refuse_redirect,),
        ) as session:
            self.websocket = await session.ws_connect(url, **options)
        return self.websocket


class QueueSocket:
    """`open` once, `close` always. Each event is handed to `hear(name, payload)`, in order."""

    def __init__(self, session: aiohttp.ClientSession, hear: Callable[[str, Any], None]) -> None:
        self._opener = _Opener(session)
        self._rejection: str | None = None
        self._client = socketio.AsyncClient(
            reconnection=False,
            handle_sigint=False,
            json=_Json,
            http_session=self._opener,
            websocket_extra_options={"max_msg_size": MAX_MESSAGE},
        )
        self._client.on("connect_error", self._rejected)
        self._client.on("*", lambda name, *payload: hear(name, payload[0] if payload else None))

    def _rejected(self, reason: Any = None) -> None:
        """A refusal by InvokeAI is an object; engineio's own failures are text."""
        if isinstance(reason, dict):
            self._rejection = f"InvokeAI rejected the socket: {reason.get('message', 'no reason given')}"

    async def open(self, url: str, token: str | None, queue_id: str, within: float) -> asyncio.Task[None]:
        """Connects and subscribes; what it returns is done when the connection is lost.

        Raises `InvokeUnreachable` or `InvokeInterrupted`, whose words say why there are no live events.
        """
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
                    raise InvokeInterrupted("the socket was lost while connecting")
                await self._subscribe(queue_id, lost)
        except TimeoutError:
            raise InvokeInterrupted(f"the socket did not answer within {within:g} s") from None
        except (socketio.exceptions.SocketIOError, aiohttp.ClientError, OSError) as error:
            raise InvokeUnreachable(self._rejection or _why(_root(error))) from error
        return lost

    async def _subscribe(self, queue_id: str, lost: asyncio.Task[None]) -> None:
        """InvokeAI acknowledges with null, and not at all what it cannot use."""
        acknowledged = asyncio.get_running_loop().create_future()
        await self._client.emit(
            "subscribe_queue", {"queue_id": queue_id}, callback=lambda *_: acknowledged.set_result(None)
        )
        await asyncio.wait({acknowledged, lost}, return_when=asyncio.FIRST_COMPLETED)
        if not acknowledged.done():
            raise InvokeInterrupted("the socket was lost while subscribing")

    async def close(self) -> None:
        """Closes the websocket, at any stage; engineio's loops end with it."""
        reading = self._client.eio.read_loop_task
        with suppress(TimeoutError, aiohttp.ClientError, OSError):
            async with asyncio.timeout(CLOSE_TIMEOUT):
                if self._opener.websocket is not None:
                    await self._opener.websocket.close()
                if reading is not None:
                    await asyncio.wait({reading})


def _why(error: BaseException) -> str:
    """An HTTP answer in the place of the handshake comes from what stands in between: REST answers there."""
    if isinstance(error, aiohttp.WSServerHandshakeError):
        if error.status // 100 == REDIRECTION:
            return f"what stands before InvokeAI redirects the websocket ({error.status})"
        if error.status in REFUSED:
            return f"what stands before InvokeAI refuses the websocket ({error.status})"
        return "a proxy in between passes no websockets"
    return describe(error)


def _root(error: BaseException) -> BaseException:
    """What engineio's "Connection error" was about."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return error
