"""Many browsers in one process: light websocket clients that count what they get, and how long it took."""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

STAMP = b"t="
DIGITS = 20
CONNECTING_AT_ONCE = 50


def stamp() -> str:
    """Now, for a message's text: CLOCK_MONOTONIC is the same for every process of the machine."""
    return f"t={time.monotonic_ns():0{DIGITS}}"


class Browsers:
    """All of them: what arrived, and after how many milliseconds."""

    def __init__(self) -> None:
        self.received = 0
        self.milliseconds: list[float] = []
        self._wanted = 0
        self._enough = asyncio.Event()

    def forget(self) -> None:
        self.received = self._wanted = 0
        self.milliseconds.clear()
        self._enough.clear()

    async def until(self, received: int, seconds: float) -> None:
        """Until so many messages with a stamp have come, or the time is over."""
        self._wanted = received
        if self.received < received:
            try:
                async with asyncio.timeout(seconds):
                    await self._enough.wait()
            except TimeoutError:
                return

    def arrived(self, payload: bytes) -> None:
        at = payload.find(STAMP)
        if at < 0:
            return
        sent = int(payload[at + len(STAMP) : at + len(STAMP) + DIGITS])
        self.milliseconds.append((time.monotonic_ns() - sent) / 1e6)
        self.received += 1
        if self.received == self._wanted:
            self._enough.set()


class Browser(WSListener):
    def __init__(self, browsers: Browsers, socketio: bool) -> None:
        self._browsers = browsers
        self._socketio = socketio

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.PING:
            transport.send_pong(frame.get_payload_as_bytes())
        elif frame.msg_type == WSMsgType.TEXT:
            payload = frame.get_payload_as_bytes()
            if self._socketio and payload[:1] in (b"0", b"2"):
                # engine.io: the session is open, so join; a ping wants a pong
                transport.send(WSMsgType.TEXT, b"40" if payload[:1] == b"0" else b"3")
            else:
                self._browsers.arrived(payload)


@asynccontextmanager
async def connected(url: str, count: int, *, socketio: bool = False) -> AsyncIterator[Browsers]:
    """So many browsers on `url`."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    browsers = Browsers()
    transports: list[WSTransport] = []
    while len(transports) < count:
        some = min(CONNECTING_AT_ONCE, count - len(transports))
        pairs = await asyncio.gather(*(ws_connect(lambda: Browser(browsers, socketio), url) for _ in range(some)))
        transports += [transport for transport, _ in pairs]
    try:
        yield browsers
    finally:
        for transport in transports:
            transport.disconnect()
        await asyncio.gather(*(transport.wait_disconnected() for transport in transports))


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else float("nan")
