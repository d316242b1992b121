"""Polls a server cheaply for changes that no event told, in its gallery and, without a socket, in its queue."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from itertools import takewhile

import structlog

from service.correlation.consumer import Consumer
from service.correlation.exchange import ReadingRequests
from service.correlation.gallery import Gallery
from service.correlation.record import Recorder
from service.errors import InvokeError
from service.invokeai.answers import Newest
from service.invokeai.client import InvokeClient
from service.invokeai.events import QueueStatus
from service.invokeai.subscription import Subscription, SubscriptionState
from service.runtime.waiting import wait_for_event

log = structlog.get_logger()

SHORTEST = 5.0
"""Seconds between looks while a browser is open or something moved lately."""
LONGEST_QUIET = 15.0
"""Seconds between looks at a server without a socket where nothing moves and no browser is open."""
LIVELY = 180.0
"""Seconds for which something counts as having moved lately."""
SHARE = 0.05
"""The share of a server's time, at most, that looks may take. A gallery of 100,000 images answers in 0.15 s
(FACTS §8)."""
LONGEST = 120.0
TIMEOUT = 10.0
NEWEST = 10
"""Images in a look at the gallery. If more than that are new at once, everything is read."""


class ChangePoller:
    """Asks for readings when a look finds a change. A server with a socket is not asked while nothing moves there and
    no browser is open."""

    def __init__(
        self,
        client: InvokeClient,
        subscription: Subscription,
        consumer: Consumer,
        recorder: Recorder,
        requests: ReadingRequests,
        gallery: Gallery,
        *,
        watched: Callable[[], bool],
    ) -> None:
        self._client = client
        self._subscription = subscription
        self._consumer = consumer
        self._recorder = recorder
        self._requests = requests
        self._gallery = gallery
        self._watched = watched
        self._moved_at = -LIVELY
        """When a look last found a change."""
        self._queue: QueueStatus | None = None
        self._newest: Newest | None = None
        self._now = asyncio.Event()

    def request(self) -> None:
        """Asks for a look now."""
        self._now.set()

    async def run(self) -> None:
        """Supervised."""
        wait = SHORTEST
        while True:
            await wait_for_event(self._now, wait * random.uniform(0.9, 1.1))
            self._now.clear()
            if self._subscription.state is not SubscriptionState.CONNECTED:
                wait = SHORTEST
                continue
            listening, lively = self._subscription.listening, self._is_lively()
            began = time.monotonic()
            if lively or not listening:
                await self._look(listening=listening)
            at_least = min((time.monotonic() - began) / SHARE, LONGEST)
            wait = max(at_least, SHORTEST if lively or listening else min(wait * 1.25, LONGEST_QUIET))

    def _is_lively(self) -> bool:
        moved_at = max(self._moved_at, self._consumer.heard_at or -LIVELY)
        return self._watched() or time.monotonic() - moved_at < LIVELY

    async def _look(self, *, listening: bool) -> None:
        if not listening:
            try:
                async with asyncio.timeout(TIMEOUT):
                    await self._look_at_queue()
            except (InvokeError, TimeoutError):
                self._subscription.poke()  # the subscription finds out whether the server still answers
                return
        try:
            async with asyncio.timeout(TIMEOUT):
                await self._look_at_gallery()
        except (InvokeError, TimeoutError) as error:
            log.debug("look_failed", url=self._client.url, error=str(error) or "no answer")

    async def _look_at_queue(self) -> None:
        """Looks at the queue's counts: any change of an item changes one of them."""
        status = await self._client.queue_status()
        if status == self._queue:
            return
        self._consumer.show_queue(status.pending, status.in_progress)
        self._requests.queue()
        if self._queue is not None:
            self._moved_at = time.monotonic()
        self._queue = status

    async def _look_at_gallery(self) -> None:
        newest = await self._client.newest_images(NEWEST)
        before, self._newest = self._newest, newest
        if before == newest:
            return
        if before is None:
            self._gallery.request()
            return
        known = {image.image_name for image in before.items}
        new = [image.image_name for image in takewhile(lambda image: image.image_name not in known, newest.items)]
        if new:
            self._moved_at = time.monotonic()
        # Images that events told of are recorded already. If the total grew by more, others became visible further
        # down.
        if newest.total - before.total > len(new) or len(new) >= NEWEST or await self._recorder.unknown(new):
            self._gallery.request()
