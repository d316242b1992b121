"""Reads a backend's gallery, newest first, back to a watermark: the last net under everything (gallery reading)."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from service.bus.bus import Bus
from service.correlation.gallery_marks import OLDER_NAMES, ScanWindow
from service.correlation.promoted import Promoted
from service.correlation.record import Recorder, ServerIdentity
from service.errors import (
    InvokeError,
    InvokeFailed,
    InvokeNoSuchRoute,
    InvokeUnauthorized,
    InvokeUnreachable,
    InvokeUnreadable,
    InvokeUnrecognised,
)
from service.invokeai.bad_records import GalleryPages
from service.invokeai.client import InvokeClient
from service.invokeai.events import ImageDTO, ImagePage, UnreadableImage
from service.invokeai.server import pieces
from service.runtime.backoff import Backoff
from service.runtime.waiting import wait_for_event

log = structlog.get_logger()

OVERLAP = timedelta(minutes=5)
PERIOD = 300.0
"""Seconds between readings that nobody asked for."""
SOON = 60.0
"""The same while an intermediate image may be made final."""
PAGE = 200
MOST_PAGES = 2500
"""Pages of one pass. A gallery without an end would never be read whole."""
MOST_COMPARED = 50_000
"""Names of one pass that are kept to compare the next with."""
FIRST_WAIT = 1.0
"""Seconds after a reading that failed; doubled up to PERIOD, and over when one is asked for."""
STRAINED_WAIT = 30.0
"""Seconds after a reading in which InvokeAI failed for single images, unless all is to be looked at."""
TRIES = 5
"""Passes that begin again because `total` fell (something was deleted during the pass)."""
UNREADABLE = "gallery_unreadable"


class TotalFell(Exception):
    """Images were deleted during the pass: pages have shifted and one may have been skipped."""


class Gallery:
    """Reads one backend's gallery when asked, and now and then by itself."""

    def __init__(
        self,
        backend_id: UUID,
        client: InvokeClient,
        recorder: Recorder,
        bus: Bus,
        *,
        identity: ServerIdentity,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.backend_id = backend_id
        self.read_from: float | None = None
        """When, on the process's monotonic clock, the last complete reading began."""
        self._client = client
        self._recorder = recorder
        self._bus = bus
        self._identity = identity
        self._unreadable = recorder.unreadable
        self._promoted = Promoted(client, recorder, identity, clock=clock)
        self._clock = clock
        self._asked = asyncio.Event()
        self._thoroughly = asyncio.Event()
        """Set when everything is to be read now."""
        self._strained = False
        self._walk_due = False
        self._total: int | None = None
        """The total of the last complete pass, from its first page."""
        self._window: frozenset[str] = frozenset()
        """The images that the last pass listed and that the next will list again."""

    def request(self, thoroughly: bool = False) -> None:
        """Asks for a reading soon; `thoroughly` looks below the watermark too."""
        if thoroughly:
            self._walk_due = True
            self._thoroughly.set()
        self._asked.set()

    async def run(self) -> None:
        """Runs supervised. A reading that fails is tried again with growing gaps, until one is complete."""
        backoff, due, failures = Backoff(FIRST_WAIT, PERIOD), self._until_next(), 0
        while True:
            await self._until_asked_or_due(due)
            if self._strained:
                await wait_for_event(self._thoroughly, STRAINED_WAIT)
            self._asked.clear()
            self._thoroughly.clear()
            try:
                await self.read()
            except InvokeError as error:
                failures += 1
                self._show_failure(error, failures)
                due = backoff.next()
                log.info("gallery_reading_failed", backend_id=str(self.backend_id), error=str(error), seconds=due)
            except Exception:
                self._asked.set()  # not InvokeAI's trouble: read again as soon as the supervisor restarts this
                raise
            else:
                backoff.reset()
                due, failures = self._until_next(), 0

    async def _until_asked_or_due(self, seconds: float) -> None:
        while seconds > 0:
            if await wait_for_event(self._asked, min(seconds, SOON)) or self._promoted.expected:
                return
            seconds -= SOON

    def _show_failure(self, error: InvokeError, failures: int) -> None:
        """Shows a trouble after two failures; the state of the server shows why it cannot be asked at all."""
        if isinstance(error, InvokeUnreachable | InvokeUnauthorized | InvokeUnrecognised):
            self._bus.trouble(self.backend_id, UNREADABLE, None)
        elif failures > 1:
            self._bus.trouble(self.backend_id, UNREADABLE, f"InvokeAI's gallery cannot be read: {error}"[:500])

    def _until_next(self) -> float:
        seconds = max(FIRST_WAIT, self._promoted.seconds_to_walk) if self._walk_due else PERIOD
        return seconds * random.uniform(0.9, 1.1)

    async def read(self) -> int:
        """Makes one complete reading, and returns how many photos it added. Raises InvokeError."""
        self._identity.require()
        for _ in range(TRIES):
            began = self._clock()
            try:
                added = await self._pass()
            except TotalFell:
                continue
            self.read_from = began
            self._bus.trouble(self.backend_id, UNREADABLE, None)
            return added
        raise InvokeError("images were deleted during every pass of the gallery reading")

    async def _pass(self) -> int:
        pages = GalleryPages(self._client)
        try:
            page: ImagePage | None = await pages.read(0, PAGE)  # first, for its answer tells the server's time
        except (InvokeFailed, InvokeUnreadable) as error:
            page, failure = None, error
        elapsed = 0.0 if self.read_from is None else self._clock() - self.read_from
        window = await self._recorder.marks.window(elapsed)
        if page is None:
            added = await self._read_by_names(window, failure)
            self._strained = True
        else:
            added = await self._read_pages(window, pages, page)
            self._strained = bool(pages.failures)
        return added + await self._below_the_watermark(window)

    async def _read_pages(self, window: ScanWindow, pages: GalleryPages, page: ImagePage) -> int:
        floor = max(window.watermark - OVERLAP, window.beginning)
        first_total = page.total
        newest = max((image.created_at for image in page.items), default=window.watermark)
        listed: dict[str, datetime | None] = {}
        added = offset = 0
        while True:
            # A shorter page is the last: if images come in at the same time, it may show only images of the page
            # before.
            if len(page.items) == PAGE and all(image.image_name in listed for image in page.items):
                raise InvokeUnreadable("the gallery tells of the same images again and again")
            if offset > MOST_PAGES * PAGE:
                raise InvokeUnreadable("the gallery has no end")
            fresh = [image for image in page.items if image.created_at >= floor]
            added += await self._record(fresh, window)
            if len(listed) < MOST_COMPARED:
                listed.update((image.image_name, image.created_at) for image in fresh)
            unreadable = [image for image in page.unreadable if image.name]
            self._unreadable.found(unreadable)
            if len(listed) < MOST_COMPARED:
                listed.update((image.name, None) for image in unreadable)
            offset += page.listed
            if len(fresh) < len(page.items) or page.listed < PAGE:
                break
            total, page = page.total, await pages.read(offset, PAGE)
            if page.total < total:
                raise TotalFell
        await self._name_the_nameless(pages.nameless)
        if not window.knows_older:
            await self._keep_older(window, offset - page.listed)
        reached = await self._recorder.marks.advance(window, newest)
        self._compare_totals(first_total, listed, reached - OVERLAP)
        return added

    async def _record(self, images: Sequence[ImageDTO], window: ScanWindow) -> int:
        unknown = set(await self._recorder.unknown([image.image_name for image in images]))
        new = [image for image in images if image.image_name in unknown]
        if new:
            await self._identity.confirm()  # nothing of another server is recorded as this one's
        return len(await self._recorder.record(new, mirror=window.mirror))

    async def _read_by_names(self, window: ScanWindow, failure: InvokeError) -> int:
        """For a gallery whose pages InvokeAI cannot list: its names, and the images one by one."""
        floor = max(window.watermark - OVERLAP, window.beginning)
        try:
            names = await self._client.image_names()
        except InvokeNoSuchRoute:
            raise failure from None
        newest, added = window.watermark, 0
        for some in pieces(names, PAGE):
            edges = await self._client.images_by_names([some[0], some[-1]])
            unknown = await self._recorder.unknown(some)
            images, _ = await self._promoted.look_up([name for name in unknown if name not in self._unreadable])
            newest = max([newest, *(image.created_at for image in (*edges, *images))])
            added += await self._record([image for image in images if image.created_at >= floor], window)
            if any(image.created_at < floor for image in (*edges, *images)):
                break
        await self._recorder.marks.advance(window, newest)
        return added

    # --- images that no page shows ---

    def _compare_totals(self, total: int, listed: dict[str, datetime | None], next_floor: datetime) -> None:
        """More images than the pages showed: one below the watermark was made final, or uploaded with an old time."""
        shown = sum(name not in self._window for name in listed)
        if self._total is not None and total > self._total + shown:
            self._walk_due = True
        self._total = total
        self._window = frozenset(name for name, at in listed.items() if at is None or at >= next_floor)

    async def _below_the_watermark(self, window: ScanWindow) -> int:
        """Looks below the watermark (`promoted`). A reading is complete without it; if it fails, the next reading tries
        again."""
        if not window.mirror:
            self._walk_due = False
            return 0
        walking = self._walk_due and not self._promoted.seconds_to_walk
        added = 0
        try:
            added += await self._promoted.look_again(window.beginning, now=walking)
            if walking:
                self._walk_due = False  # one that is asked for while it runs follows it
                added += await self._promoted.walk(window.beginning)
        except InvokeNoSuchRoute:
            pass  # there is no list of names before 6.0
        except InvokeError as error:
            self._walk_due |= walking
            self._promoted.put_off()
            log.info("gallery_walk_failed", backend_id=str(self.backend_id), error=str(error))
        return added

    async def _keep_older(self, window: ScanWindow, offset: int) -> None:
        """Keeps the names of older images, which tell them from new ones if the server's clock is set back."""
        try:
            page = await self._client.images_page(OLDER_NAMES, offset, is_intermediate=False, starred_first=False)
        except (InvokeFailed, InvokeUnreadable):
            return  # one of them cannot be read; the next reading tries again
        older = [image.image_name for image in page.items if image.created_at < window.beginning]
        await self._recorder.marks.keep_older(older)

    async def _name_the_nameless(self, places: Sequence[int]) -> None:
        """Finds the name of an image for which a page failed, in the list of names."""
        if not places:
            return
        why = "InvokeAI fails to read its record"
        try:
            names = await self._client.image_names()
        except InvokeError:
            names = []
        named = [names[place] if place < len(names) else "an image without a name" for place in places]
        self._unreadable.found(UnreadableImage(name, why) for name in named)
