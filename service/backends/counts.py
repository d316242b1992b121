"""Counts what the card of one backend shows: its queue, its videos, and images older than its place here."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from uuid import UUID

import structlog

from service.bus.bus import Bus
from service.correlation.consumer import Consumer
from service.correlation.gallery_marks import GalleryMarks
from service.correlation.promoted import CATEGORIES
from service.database.engine import Database
from service.errors import InvokeError
from service.invokeai.client import InvokeClient
from service.invokeai.events import ImagePage
from service.invokeai.subscription import Subscription, SubscriptionState
from service.media.identity import first_id_at
from service.runtime.waiting import wait_for_event

log = structlog.get_logger()

COUNT_SECONDS = 60.0
"""Seconds between readings of what a server's card counts."""
TIMEOUT = 10.0
OLDER_TIMEOUT = 60.0
OLDER_AGAIN = 86_400.0
"""Seconds for which the number of older images is valid: it does not grow."""
SEEN = """
    UPDATE backends SET last_seen_at = now(), version = coalesce($3, version) WHERE id = $1 AND url = $2
"""
# Ids are in the order of `created_at`: newer photos are not read.
OLDER_HERE = """
    SELECT count(*) FROM photos
     WHERE id < $3 AND created_at < $2 AND invoke_id IS NOT NULL AND (backend_id = $1 OR backend_id IS NULL)
"""


class Counts:
    """`run` is to be supervised: it counts after each connect, when asked and every minute. A slow server keeps no
    other's card waiting."""

    def __init__(
        self,
        backend_id: UUID,
        client: InvokeClient,
        subscription: Subscription,
        consumer: Consumer,
        marks: GalleryMarks,
        *,
        database: Database,
        bus: Bus,
    ) -> None:
        self.videos = 0
        self.older_images = 0
        """Images from before its beginning. They stay there; Import brings them (gallery reading)."""
        self._backend_id = backend_id
        self._client = client
        self._subscription = subscription
        self._consumer = consumer
        self._marks = marks
        self._database = database
        self._bus = bus
        self._asked = asyncio.Event()
        self._older_counted_at: float | None = None

    def request(self, *, older: bool = False) -> None:
        """Counts soon; with `older` also the older images, though they were counted lately."""
        if older:
            self._older_counted_at = None
        self._asked.set()

    async def run(self) -> None:
        while True:
            await wait_for_event(self._asked, COUNT_SECONDS * random.uniform(0.9, 1.1))
            self._asked.clear()
            if self._subscription.state is not SubscriptionState.CONNECTED:
                continue
            try:
                await self._count()
            except BaseException:
                self._asked.set()
                raise

    async def _count(self) -> None:
        version = self._client.info.version if self._client.info else None
        async with self._database.connection() as connection:
            await connection.execute(SEEN, self._backend_id, self._client.url, version)
        if not self._subscription.listening:
            self._bus.models_changed(self._backend_id)  # perhaps: no event tells
        await self._within(TIMEOUT, self._count_queue)
        self._bus.backend_changed(self._backend_id)
        before = self.videos, self.older_images
        await self._within(TIMEOUT, self._count_videos)
        await self._within(OLDER_TIMEOUT, self._count_older_images)
        if before != (self.videos, self.older_images):
            self._bus.backend_changed(self._backend_id)

    async def _within(self, seconds: float, count: Callable[[], Awaitable[None]]) -> None:
        try:
            async with asyncio.timeout(seconds):
                await count()
        except (InvokeError, TimeoutError) as error:
            log.info("not_counted", backend_id=str(self._backend_id), error=str(error) or "no answer")

    async def _count_queue(self) -> None:
        status = await self._client.queue_status()
        self._consumer.show_queue(status.pending, status.in_progress)

    async def _count_videos(self) -> None:
        try:
            self.videos = await self._client.videos_total()
        except InvokeError:
            self.videos = 0  # an older server, or a failing route, of something this release does not retrieve

    async def _count_older_images(self) -> None:
        counted_at = self._older_counted_at
        if counted_at is not None and time.monotonic() - counted_at < OLDER_AGAIN:
            return
        beginning = await self._marks.since()
        if beginning is None:
            return
        there = await _older_there(self._client, beginning)
        here = 0
        if there:
            younger = first_id_at(beginning, milliseconds_later=1)
            async with self._database.connection() as connection:
                here = await connection.fetchval(OLDER_HERE, self._backend_id, beginning, younger)
        self.older_images = max(0, there - here)
        self._older_counted_at = time.monotonic()


async def _older_there(client: InvokeClient, beginning: datetime) -> int:
    """Counts older images by halving: about as many questions as the number has binary digits, of one image each."""
    newest = await _image_at(client, 0)
    if not newest.items:
        return 0
    total = newest.total
    if newest.items[0].created_at < beginning:
        return total
    oldest = await _image_at(client, total - 1)
    if not oldest.items or oldest.items[0].created_at >= beginning:
        return 0
    first, last = 1, total - 1  # the first older one is one of these
    while first < last:
        middle = (first + last) // 2
        page = await _image_at(client, middle)
        if not page.items or page.items[0].created_at < beginning:
            last = middle
        else:
            first = middle + 1
    return total - first


async def _image_at(client: InvokeClient, offset: int) -> ImagePage:
    return await client.images_page(1, offset, is_intermediate=False, categories=CATEGORIES, starred_first=False)
