"""The HTTP server: uvicorn on uvloop, with websockets that also close when the client reads nothing."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any, Final

import uvicorn
from litestar.types import ASGIApp
from uvicorn._types import ASGISendEvent
from uvicorn.middleware.proxy_headers import _TrustedHosts
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidMessage
from websockets.frames import Frame
from websockets.http11 import Request
from websockets.protocol import State

from service.config.addresses import is_loopback
from service.errors import HeadTooLarge, StartupError, ValidationError
from service.live.hub import READY_FRAMES, STOPPED_READING
from service.web.connections import HttpConnections, descriptor_limit
from service.web.http_protocol import SILENT_SECONDS, HttpProtocol, refusal

GRACEFUL_SECONDS: Final = 5
PING_SECONDS: Final = 10
PONG_SECONDS: Final = 10
"""Seconds. A browser that answers no ping for so long has stopped reading, though little is sent to it."""
TICKS_A_SECOND: Final = 10
LAST_WORDS_SECONDS: Final = 5.0
"""Seconds that a browser which stopped reading has to read why it was closed."""
LONG_HANDSHAKE: Final = "the header of a websocket handshake is too large: at most 8 KB in a line are taken"
MOST_FRAGMENTS: Final = 1000
"""Frames of one message."""


class FeedProtocol(WebSocketsSansIOProtocol):
    """uvicorn's websocket protocol without its waits: uvicorn waits for a client to read before it closes it, and then
    for its buffer to drain.

    It also sends websocket frames that were made once for all browsers, and keeps no more than one pong for a client
    that sends without reading.
    """

    owed_pong = b""
    """The pong for the last ping of a client that must read first: one answers them all (RFC 6455 §5.5.3)."""

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: HttpConnections,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._places = server_state

    def connection_lost(self, exc: Exception | None) -> None:
        self._places.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self.handshake_initiated and not self.transport.is_closing():
            # The handshake came whole and cannot be read: uvicorn would wait for ever.
            unreadable = isinstance(self.conn.handshake_exc, InvalidMessage)
            error = ValidationError("this is no websocket handshake") if unreadable else HeadTooLarge(LONG_HANDSHAKE)
            self.transport.write(refusal(error, self.default_headers))
            self.transport.close()

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if not self.close_sent:
            self.scope["extensions"] = {**(self.scope["extensions"] or {}), READY_FRAMES: {"write": self.write_frame}}

    def write_frame(self, frame: bytes) -> bool:
        """Sends the frame if that needs no waiting. False if the client must read first, or is being closed."""
        if not self.writable.is_set() or self.close_sent or self.conn.state is not State.OPEN:
            return False
        self.transport.write(frame)
        return True

    async def send(self, message: ASGISendEvent) -> None:
        if message["type"] == "websocket.close":
            self.writable.set()
            await super().send(message)
            self._give_up_later()
        else:
            await super().send(message)
            if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
                # An answer in words ends the handshake. Without this, uvicorn would log an error for each.
                self.handshake_complete = True

    def handle_ping(self) -> None:
        frames = self.conn.data_to_send()
        if self.writable.is_set():
            self.transport.write(b"".join(frames))
        elif frames:
            self.owed_pong = frames[-1]

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.owed_pong and not self.transport.is_closing():
            self.transport.write(self.owed_pong)
        self.owed_pong = b""

    def handle_cont(self, event: Frame) -> None:
        if len(self.frames) < MOST_FRAGMENTS:
            super().handle_cont(event)
        else:  # empty fragments reach no other bound
            self.transport.abort()

    def handle_close(self, event: Frame) -> None:
        super().handle_close(event)
        self._give_up_later()

    def keepalive_timeout(self) -> None:
        self.pong_timer = None
        self.pending_ping_payload = None
        if self.close_sent or self.transport.is_closing():
            return
        self.conn.send_close(STOPPED_READING, "no answer to a ping")
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.queue.put_nowait({"type": "websocket.disconnect", "code": STOPPED_READING, "reason": ""})
        self._give_up_later()

    def shutdown(self) -> None:
        super().shutdown()
        if self.transport.get_write_buffer_size():
            self.transport.abort()

    def _give_up_later(self) -> None:
        if self.close_timer is not None:
            self.close_timer.cancel()
        self.close_timer = self.loop.call_later(LAST_WORDS_SECONDS, self.transport.abort)


class Server(uvicorn.Server):
    """uvicorn's server with bounds on its connections.

    Signals are handled by the command that runs it: uvicorn would raise them again before our resources are closed.
    """

    def __init__(self, config: uvicorn.Config, connections: HttpConnections) -> None:
        super().__init__(config)
        self.server_state: HttpConnections = connections

    async def on_tick(self, counter: int) -> bool:
        if counter % TICKS_A_SECOND == 0:
            self.server_state.sweep()
        return await super().on_tick(counter)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises StartupError if the address cannot be used."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise StartupError(
            f"cannot listen on {host} port {port} ({error.strerror or error}): stop what is there,"
            " or choose another with DARKROOM_PORT and DARKROOM_HOST"
        ) from error
    listener.setblocking(False)
    return listener


def server_for(app: ASGIApp, connections: HttpConnections | None = None) -> Server:
    """A server for an app. The caller runs the app's lifespan: `async with app.lifespan()` around `serve`."""
    config = uvicorn.Config(
        app,
        loop="none",
        http=HttpProtocol,
        ws=FeedProtocol,
        ws_per_message_deflate=False,
        ws_max_size=64 * 1024,
        ws_ping_interval=PING_SECONDS,
        ws_ping_timeout=PONG_SECONDS,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=int(SILENT_SECONDS),
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
    )
    proxies = _TrustedHosts(config.forwarded_allow_ips)
    return Server(
        config,
        connections
        or HttpConnections.within(
            descriptor_limit(), unbounded=lambda address: address in proxies or is_loopback(address)
        ),
    )
