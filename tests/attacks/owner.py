"""The owner of a Darkroom under attack: browses without a pause, and sees what it costs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import psutil

from tests.fakes.process import DarkroomProcess

PASSWORD = "correct horse battery"
MB = 2**20
RSS_MOST = 300 * MB
HELLO_MOST = 1 * MB
SLOWEST = 20.0
"""Seconds for a page: generous, for attackers and Darkroom share the machine's few cores."""
PAGES = ("/", "/api/v1/photos?limit=50", "/api/v1/backends", "/api/v1/status", "/api/v1/models")
HELLO = "/api/v1/feed/snapshot"


@dataclass
class Seen:
    """What the owner saw during an attack."""

    statuses: dict[str, int] = field(default_factory=dict)
    """How often each page was answered with each status."""
    slowest: float = 0.0
    hello: int = 0
    rss: int = 0
    feed_ended: str = ""
    """How, where it did."""

    def __str__(self) -> str:
        pages = ", ".join(f"{count} × {status}" for status, count in sorted(self.statuses.items()))
        return f"RSS {self.rss / MB:.0f} MB, hello {self.hello} bytes, slowest page {self.slowest:.2f} s, {pages}"


@asynccontextmanager
async def browsing(darkroom: DarkroomProcess) -> AsyncIterator[Seen]:
    """An owner who browses while the context is open, on connections kept and new ones, with a feed. At the end:
    every page was answered, Darkroom is well, and it stayed small."""
    seen = Seen()
    process = darkroom.process
    assert process is not None
    timeout = aiohttp.ClientTimeout(total=60)
    headers = {"Authorization": f"Bearer {PASSWORD}"}
    async with (
        aiohttp.ClientSession(darkroom.url, headers=headers, timeout=timeout) as kept,
        aiohttp.ClientSession(
            darkroom.url, headers=headers, timeout=timeout, connector=aiohttp.TCPConnector(force_close=True)
        ) as fresh,
        kept.ws_connect("/api/v1/feed", max_msg_size=0) as feed,
    ):
        tasks = [
            asyncio.create_task(_watch(psutil.Process(process.pid), seen)),
            asyncio.create_task(_listen(feed, seen)),
            asyncio.create_task(_browse(kept, seen)),
            asyncio.create_task(_browse(fresh, seen)),
        ]
        try:
            yield seen
            await _page(fresh, HELLO, seen)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
    print(f"\n    {seen}")
    assert process.returncode is None, darkroom.log.read_text()[-4000:]
    failed = [task for task in tasks if not task.cancelled()]
    assert not failed, [task.exception() for task in failed]
    assert not seen.feed_ended, seen.feed_ended
    assert set(seen.statuses) == {"200"}, seen.statuses
    assert seen.slowest < SLOWEST
    assert 0 < seen.hello < HELLO_MOST
    assert 0 < seen.rss < RSS_MOST


async def _watch(process: psutil.Process, seen: Seen) -> None:
    while True:
        seen.rss = max(seen.rss, process.memory_info().rss)
        await asyncio.sleep(0.05)


async def _listen(feed: aiohttp.ClientWebSocketResponse, seen: Seen) -> None:
    async for message in feed:
        if '"hello"' in message.data[:200]:
            seen.hello = max(seen.hello, len(message.data))
    seen.feed_ended = f"closed with {feed.close_code}"
    await asyncio.Event().wait()


async def _browse(http: aiohttp.ClientSession, seen: Seen) -> None:
    while True:
        for path in (*PAGES, HELLO):
            await _page(http, path, seen)
            await asyncio.sleep(0.05)


async def _page(http: aiohttp.ClientSession, path: str, seen: Seen) -> None:
    began = time.perf_counter()
    try:
        async with http.get(path) as response:
            size, status = len(await response.read()), str(response.status)
    except (aiohttp.ClientError, TimeoutError) as error:
        status = f"{path}: {error!r}"
        size = 0
    seen.slowest = max(seen.slowest, time.perf_counter() - began)
    seen.statuses[status] = seen.statuses.get(status, 0) + 1
    if path == HELLO:
        seen.hello = max(seen.hello, size)
