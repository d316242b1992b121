"""uvicorn's HTTP protocol with bounds against hostile clients: on heads, pipelines and silence."""

from __future__ import annotations

import asyncio
import fcntl
import math
import sys
import termios
import time
from contextlib import suppress
from typing import Any, Final

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from service.api.error_answers import error_body, error_headers
from service.api.security_headers import SECURITY_HEADERS
from service.errors import ApiError, HeadTooLarge, Unavailable, ValidationError
from service.web.connections import HttpConnections

HEAD_BYTES: Final = 64 * 1024
"""Bytes of a request's first line and header, and of its trailer."""
HEAD_LINES: Final = 100
HEAD_WORDS: Final = f"the header is too large: at most {HEAD_BYTES} bytes in {HEAD_LINES} lines are taken"
REQUESTS_WAITING: Final = 16
"""Requests of one connection that wait behind the one that is being answered."""
SILENT_SECONDS: Final = 15.0
"""Seconds for a head to come whole, and for a next request to begin. Measured by the sweep, once a second."""
BODY_SECONDS: Final = 60.0
"""Seconds for the rest of a body whose request was answered already."""
UNREAD_SECONDS: Final = 60.0
"""Seconds within which a client reads some of its answer."""
PIECE: Final = 16 * 1024
"""Bytes that the parser gets at once: it may keep that much beyond `HEAD_BYTES`."""


class HttpProtocol(HttpToolsProtocol):
    """Bytes are counted as they come: httptools has no limits, and joins the pieces of a header by copying them.

    Counting begins with the piece after the one in which a head begins, so a head that is a piece too long may pass
    that; where it may, it is measured once it is complete.
    """

    def __init__(
        self,
        config: Config,
        server_state: HttpConnections,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._places = server_state
        self._proven = False
        """Whether it had a request answered."""
        self._trailer = self.headers = []
        """The list that a request's trailer is read into. If `headers` is another list, a head has begun."""
        self._begun = self.headers
        """The head whose beginning was seen."""
        self._piece = 0
        self._counted = 0
        """Bytes that completed no head and were no body."""
        self._advanced = False
        self._refusal: ApiError | None = None
        self._since = server_state.now
        self._due = self._since + SILENT_SECONDS
        """When a head must have come, or a next request begun."""
        self._unread = 0
        self._unread_since = self._since

    # --- the connection ---

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if not self._places.admit(self, self.client[0] if self.client else ""):
            self._refuse(Unavailable("there are too many connections: try again in a moment"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._places.leave(self)
        super().connection_lost(exc)

    def handle_websocket_upgrade(self) -> None:
        super().handle_websocket_upgrade()
        self._places.become(self, self.transport.get_protocol())

    def data_received(self, data: bytes) -> None:
        if len(data) <= PIECE:
            self._take(data)
            return
        view = memoryview(data)
        for start in range(0, len(data), PIECE):
            if not self._take(view[start : start + PIECE]):
                return

    def _take(self, piece: bytes | memoryview) -> bool:
        """Gives a piece to the parser. False when no more may be taken."""
        self._piece = len(piece)
        self._advanced = False
        if self.timeout_keep_alive_task is not None:
            self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(piece)
        except httptools.HttpParserUpgrade:
            if self._should_upgrade():
                self.handle_websocket_upgrade()
                return False
        except httptools.HttpParserError:
            self._refuse(self._refusal or ValidationError("this is not a request of HTTP/1.1"))
            return False
        if self.headers is self._trailer and self._advanced:
            self._counted = 0
            return True
        return self._wait()

    def _wait(self) -> bool:
        """Waits for more bytes. False when there are so many that the request is refused."""
        if self.headers is not self._begun and self.headers is not self._trailer:
            self._begun = self.headers
            self._counted = 0
            self._due = self._places.now + SILENT_SECONDS
        else:
            self._counted += self._piece
        if self._counted > HEAD_BYTES or len(self.headers) > HEAD_LINES:
            self._refuse(HeadTooLarge(HEAD_WORDS))
            return False
        return True

    # --- callbacks of the parser; a plain request passes the first and the last of these ---

    def on_headers_complete(self) -> None:
        if len(self.headers) > HEAD_LINES or (
            PIECE + self._counted + self._piece > HEAD_BYTES and self._head() > HEAD_BYTES
        ):
            self._refusal = HeadTooLarge(HEAD_WORDS)
            raise self._refusal
        if len(self.pipeline) >= REQUESTS_WAITING:
            self._refusal = ValidationError(f"more than {REQUESTS_WAITING} requests wait on this connection")
            raise self._refusal
        before = self.cycle
        HttpToolsProtocol.on_headers_complete(self)
        if self.cycle is not before:  # else it asks for a websocket
            self._trailer = self.headers = []  # nobody may take the trailer for the header
        self._advanced = True
        self._since = self._places.now
        self._due = math.inf

    def on_body(self, body: bytes) -> None:
        self._advanced = True
        self._since = self._places.now
        super().on_body(body)

    def on_response_complete(self) -> None:
        HttpToolsProtocol.on_response_complete(self)
        if not self._proven:
            self._proven = True
            self._places.answered(self)
        cycle = self.cycle
        if cycle.response_complete:
            self._since = time.monotonic()  # exact enough to tell which was idle longest
            self._due = self._since + (BODY_SECONDS if cycle.more_body else SILENT_SECONDS)
            if cycle.body:
                cycle.body = bytearray()  # nobody reads it any more

    def _answering(self) -> bool:
        """Whether an answer is still to be given, or to be given whole."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def _head(self) -> int:
        """About the head's length: what was left out is less than was counted."""
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    # --- closing the connection ---

    def idle_since(self) -> float | None:
        """Since when it waits for its client; None while a request is being answered."""
        if self.flow.write_paused:
            return max(self._since, self._unread_since)
        return None if self._answering() and not self.cycle.more_body else self._since

    def look(self, now: float) -> None:
        """Closes it if its client has been silent for too long."""
        unread = self._unread_bytes()
        if unread != self._unread:
            self._unread, self._unread_since = unread, now
        if unread:
            self._due = max(self._due, now + SILENT_SECONDS)
            if now - self._unread_since > UNREAD_SECONDS:
                self._places.count("answer not read")
                self.drop()
        elif now > self._due:
            self.transport.close()

    def _unread_bytes(self) -> int:
        """Bytes of the answer that the client has not read, those in the kernel included; 0 if none wait here. A slow
        client may read from the kernel's buffer for minutes before the kernel takes more: it does so when a third of
        its buffer is free."""
        waiting: int = self.transport.get_write_buffer_size()
        if waiting:
            sent = bytearray(4)
            with suppress(OSError):  # not every system supports it
                fcntl.ioctl(self.transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, sent)
            waiting += int.from_bytes(sent, sys.byteorder)
        return waiting

    def drop(self) -> None:
        """Closes it at once, with or without unsent bytes."""
        self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        """Called when uvicorn refuses a request."""
        self._refuse(ValidationError(msg))

    def _refuse(self, error: ApiError) -> None:
        """Answers with the error, if no other answer is under way, and closes."""
        if self.transport.is_closing():
            return
        self._places.count(error.code)
        if self.pipeline or (self._answering() and self.cycle.response_started):
            self.drop()
            return
        self.transport.write(refusal(error, self.server_state.default_headers))
        self.transport.close()


def refusal(error: ApiError, default_headers: list[tuple[bytes, bytes]]) -> bytes:
    """The answer to a request that never reaches the app, after which the connection closes."""
    body = error_body(error)
    headers = {
        **SECURITY_HEADERS,
        **error_headers(error),
        "cache-control": "no-store",
        "content-type": "application/json",
        "content-length": str(len(body)),
        "connection": "close",
    }
    lines = [b"%s: %s\r\n" % line for line in default_headers]
    lines += [f"{name}: {value}\r\n".encode() for name, value in headers.items()]
    return b"".join([STATUS_LINE[error.status], *lines, b"\r\n", body])
