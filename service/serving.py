"""The web server around the app: uvicorn on uvloop, with websockets that can also be closed when nobody reads."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import Final

import uvicorn
from litestar import Litestar
from uvicorn._types import ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request
from websockets.protocol import State

from service.errors import StartupError
from service.live.hub import READY_FRAMES, STOPPED_READING

GRACEFUL_SECONDS: Final = 5
PING_SECONDS: Final = 10
PONG_SECONDS: Final = 10
"""A browser that answers no ping for so long has stopped reading, though little is sent to it."""
LAST_WORDS_SECONDS: Final = 5.0
"""How long a browser that stopped reading has to take in why it was closed."""


class FeedProtocol(WebSocketsSansIOProtocol):
    """uvicorn waits for a client to read before it closes it, and then for its buffer to drain; we wait for neither.

    It also takes websocket frames that were made once for all browsers.
    """

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if not self.close_sent:
            self.scope["extensions"] = {**(self.scope["extensions"] or {}), READY_FRAMES: {"write": self.write_frame}}

    def write_frame(self, frame: bytes) -> bool:
        """Send it, if that needs no waiting: False when the client must read first, or is on its way out."""
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
                # Refused in words, which ends the handshake: uvicorn would log an error for each.
                self.handshake_complete = True

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
    """Signals belong to whoever runs us: uvicorn would raise them again before our resources are closed."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; StartupError when the address cannot be had."""
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


def server_for(app: Litestar) -> Server:
    """A server of an app whose lifespan is the caller's: `async with app.lifespan()` around `serve`."""
    return Server(
        uvicorn.Config(
            app,
            loop="none",
            http="httptools",
            ws=FeedProtocol,
            ws_per_message_deflate=False,
            ws_max_size=64 * 1024,
            ws_ping_interval=PING_SECONDS,
            ws_ping_timeout=PONG_SECONDS,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=GRACEFUL_SECONDS,
        )
    )
