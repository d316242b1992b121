"""The gallery reading (rule 6): newest first, back to a watermark; the last net under everything."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
import structlog

from service.backends.troubles import Troubles
from service.correlation.gallery_pages import GalleryPages
from service.correlation.identity import Identity
from service.correlation.promoted import Promoted
from service.correlation.record import Recorder
from service.database.engine import Database
from service.errors import (
    InvokeError,
    InvokeFailed,
    InvokeNoSuchRoute,
    InvokeUnauthorized,
    InvokeUnreachable,
    InvokeUnreadable,
)
from service.invokeai.client import InvokeClient
from service.invokeai.events import ImageDTO, ImagePage, UnreadableImage
from service.invokeai.server import CLOCK_STEP
from service.waiting import happened

log = structlog.get_logger()

OVERLAP = timedelta(minutes=5)
PERIOD = 300.0
"""Seconds between readings nobody asked for."""
SOON = 60.0
"""The same while an intermediate image may be made final."""
PAGE = 200
OLDER = 1000
"""Images from before the server was added whose names are kept: one page."""
FIRST_WAIT = 1.0
"""Seconds after a reading that failed; doubled up to PERIOD, and over when one is asked for."""
STRAINED_WAIT = 30.0
"""Seconds after a reading in which InvokeAI failed for single images, unless all is to be looked at."""
TRIES = 5
"""Passes begun again because `total` fell (something was deleted while we read)."""
UNREADABLE = "gallery_unreadable"

ROW = "SELECT gallery_watermark, gallery_older IS NOT NULL AS knows_older, mirror FROM backends WHERE id = $1"
# Guarded by how the pass began: whoever moved it meanwhile, or has more taken now, to have more read, knows better.
MOVE = """
    UPDATE backends SET gallery_watermark = $4
     WHERE id = $1 AND (mirror = 'all') = $2 AND gallery_watermark IS NOT DISTINCT FROM $3
"""


class TotalFell(Exception):
    """Images were deleted during the pass: pages have shifted and one may have been skipped."""


class Reach(msgspec.Struct, frozen=True):
    """What one pass is to take, as the row told at its beginning; times are on the server's clock."""

    mirror: bool
    """Whether everybody's images are taken, not ours alone."""
    watermark: datetime
    """Where the last complete pass stood, pulled back to when it began by a clock that was set back since."""
    beginning: datetime
    """Before it nothing is taken: older images come by Import."""
    knows_older: bool
    """Whether the names of images from before are kept."""


class Gallery:
    """Reads one backend's gallery when asked, and now and then by itself."""

    def __init__(
        self,
        backend_id: UUID,
        client: InvokeClient,
        recorder: Recorder,
        database: Database,
        *,
        identity: Identity,
        troubles: Troubles | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.backend_id = backend_id
        self.read_from: float | None = None
        """When, on the process's monotonic clock, the last complete reading began."""
        self._client = client
        self._recorder = recorder
        self._database = database
        self._identity = identity
        self._unreadable = recorder.unreadable
        self._promoted = Promoted(client, recorder, identity, clock=clock)
        self._troubles = troubles or Troubles(lambda: None)
        self._clock = clock
        self._asked = asyncio.Event()
        self._pressed = asyncio.Event()
        """Everything is to be looked at."""
        self._strained = False
        self._walk_due = False
        self._total: int | None = None
        """Of the last complete pass, as its first page told."""
        self._window: frozenset[str] = frozenset()
        """The images that the last pass listed and that the next will list again."""

    def request(self, thoroughly: bool = False) -> None:
        """Asks for a reading soon; `thoroughly` looks below the watermark too."""
        if thoroughly:
            self._walk_due = True
            self._pressed.set()
        self._asked.set()

    async def run(self) -> None:
        """Supervised. A reading that fails is tried again, less and less often, until one is complete."""
        wait, due, failures = FIRST_WAIT, PERIOD, 0
        while True:
            await self._until_asked_or_due(due * random.uniform(0.9, 1.1))
            if self._strained:
                await happened(self._pressed, STRAINED_WAIT)
            self._asked.clear()
            self._pressed.clear()
            try:
                await self.read()
            except InvokeError as error:
                failures += 1
                self._show_failure(error, failures)
                log.info("gallery_reading_failed", backend_id=str(self.backend_id), error=str(error), seconds=wait)
                due, wait = wait, min(wait * 2, PERIOD)
            except Exception:
                self._asked.set()  # not InvokeAI's trouble: to be read as soon as the supervisor begins again
                raise
            else:
                wait, due, failures = FIRST_WAIT, self._until_next(), 0

    async def _until_asked_or_due(self, seconds: float) -> None:
        while seconds > 0:
            if await happened(self._asked, min(seconds, SOON)) or self._promoted.expected:
                return
            seconds -= SOON

    def _show_failure(self, error: InvokeError, failures: int) -> None:
        """One failure may be a hiccup, and what keeps the server from being asked at all is shown as its state."""
        if isinstance(error, InvokeUnreachable | InvokeUnauthorized):
            self._troubles.clear(UNREADABLE)
        elif failures > 1:
            self._troubles.set(UNREADABLE, f"InvokeAI's gallery cannot be read: {error}"[:500])

    def _until_next(self) -> float:
        if self._walk_due:
            return max(FIRST_WAIT, self._promoted.seconds_to_walk)
        return PERIOD

    async def read(self) -> int:
        """One complete reading; how many photos it added. Raises InvokeError."""
        self._identity.require()
        for _ in range(TRIES):
            began = self._clock()
            try:
                added = await self._pass()
            except TotalFell:
                continue
            self.read_from = began
            self._troubles.clear(UNREADABLE)
            return added
        raise InvokeError("images were deleted during every pass of the gallery reading")

    async def _pass(self) -> int:
        pages = GalleryPages(self._client)
        try:
            page: ImagePage | None = await pages.read(0, PAGE)  # first, for its answer tells the server's time
        except (InvokeFailed, InvokeUnreadable) as error:
            page, failure = None, error
        reach = await self._reach(self._client.server_time())
        if page is None:
            added = await self._read_by_names(reach, failure)
            self._strained = True
        else:
            added = await self._read_pages(reach, pages, page)
            self._strained = bool(pages.failures)
        return added + await self._below_the_watermark(reach)

    async def _read_pages(self, reach: Reach, pages: GalleryPages, page: ImagePage) -> int:
        floor = max(reach.watermark - OVERLAP, reach.beginning)
        first_total = page.total
        newest = max((image.created_at for image in page.items), default=reach.watermark)
        listed: dict[str, datetime | None] = {}
        added = offset = 0
        while True:
            fresh = [image for image in page.items if image.created_at >= floor]
            added += await self._record(fresh, reach)
            listed.update((image.image_name, image.created_at) for image in fresh)
            unreadable = [image for image in page.unreadable if image.name]
            self._unreadable.found(unreadable)
            listed.update((image.name, None) for image in unreadable)
            offset += page.listed
            if len(fresh) < len(page.items) or page.listed < PAGE:
                break
            total, page = page.total, await pages.read(offset, PAGE)
            if page.total < total:
                raise TotalFell
        await self._name_the_nameless(pages.nameless)
        if not reach.knows_older:
            await self._keep_older(reach, offset - page.listed)
        reached = await self._advance(reach, newest)
        self._compare_totals(first_total, listed, reached - OVERLAP)
        return added

    async def _record(self, images: Sequence[ImageDTO], reach: Reach) -> int:
        unknown = set(await self._recorder.unknown([image.image_name for image in images]))
        new = [image for image in images if image.image_name in unknown]
        if new:
            await self._identity.confirm()  # nothing of another server is recorded as this one's
        recorded = await self._recorder.record(new, mirror=reach.mirror)
        return len(recorded.added)

    async def _read_by_names(self, reach: Reach, failure: InvokeError) -> int:
        """For a gallery whose pages InvokeAI cannot list: its names, and the images one by one."""
        floor = max(reach.watermark - OVERLAP, reach.beginning)
        try:
            names = await self._client.image_names()
        except InvokeNoSuchRoute:
            raise failure from None
        newest, added = reach.watermark, 0
        for start in range(0, len(names), PAGE):
            some = names[start : start + PAGE]
            edges = await self._client.images_by_names([some[0], some[-1]])
            unknown = await self._recorder.unknown(some)
            images = await self._promoted.by_names([name for name in unknown if name not in self._unreadable])
            newest = max([newest, *(image.created_at for image in (*edges, *images))])
            added += await self._record([image for image in images if image.created_at >= floor], reach)
            if any(image.created_at < floor for image in (*edges, *images)):
                break
        await self._advance(reach, newest)
        return added

    async def _advance(self, reach: Reach, newest: datetime) -> datetime:
        """Moves the watermark after a complete pass; returns where it stands."""
        # Images from before the clock was set back are newer than now: what comes next must not hide behind them.
        server_now = self._client.server_time()
        reached = newest if server_now is None else min(newest, server_now)
        if reached <= reach.watermark:
            return reach.watermark
        await self._move(reach.mirror, reach.watermark, reached)
        return reached

    async def _reach(self, server_now: datetime | None) -> Reach:
        async with self._database.connection() as connection:
            row = await connection.fetchrow(ROW, self.backend_id)
        beginning = await self._recorder.beginning.since()
        if row is None or beginning is None:
            raise InvokeError("the backend was removed")
        watermark: datetime = row["gallery_watermark"] or beginning
        if server_now is not None:
            # What was made since the last pass is no older than this, however far the server's clock was set back.
            elapsed = 0.0 if self.read_from is None else self._clock() - self.read_from
            earliest = server_now - timedelta(seconds=elapsed) - CLOCK_STEP
            beginning = min(beginning, earliest)
            await self._recorder.beginning.lower(beginning)
            watermark = min(watermark, earliest)
        mirror = row["mirror"] == "all"
        if watermark != row["gallery_watermark"]:
            await self._move(mirror, row["gallery_watermark"], watermark)
        return Reach(mirror, watermark, beginning, row["knows_older"])

    async def _move(self, mirror: bool, before: datetime | None, after: datetime) -> None:
        async with self._database.connection() as connection:
            await connection.execute(MOVE, self.backend_id, mirror, before, after)

    # --- what no page brings ---

    def _compare_totals(self, total: int, listed: dict[str, datetime | None], next_floor: datetime) -> None:
        """More images than the pages showed: one below the watermark was made final, or uploaded with an old time."""
        shown = sum(name not in self._window for name in listed)
        if self._total is not None and total > self._total + shown:
            self._walk_due = True
        self._total = total
        self._window = frozenset(name for name, at in listed.items() if at is None or at >= next_floor)

    async def _below_the_watermark(self, reach: Reach) -> int:
        """The net (`promoted`); a reading is complete without it, and it is tried again with the next."""
        if not reach.mirror:
            self._walk_due = False
            return 0
        walking = self._walk_due and not self._promoted.seconds_to_walk
        added = 0
        try:
            added += await self._promoted.look_again(reach.beginning, now=walking)
            if walking:
                self._walk_due = False  # one that is asked for while it runs follows it
                added += await self._promoted.walk(reach.beginning)
        except InvokeNoSuchRoute:
            pass  # there is no list of names before 6.0
        except InvokeError as error:
            self._walk_due |= walking
            self._promoted.put_off()
            log.info("gallery_walk_failed", backend_id=str(self.backend_id), error=str(error))
        return added

    async def _keep_older(self, reach: Reach, offset: int) -> None:
        """Their names tell them from new images should the server's clock be set back."""
        try:
            page = await self._client.images_page(OLDER, offset, is_intermediate=False, starred_first=False)
        except (InvokeFailed, InvokeUnreadable):
            return  # one of them cannot be read; the next reading tries again
        older = [image.image_name for image in page.items if image.created_at < reach.beginning]
        await self._recorder.beginning.keep_older(older)

    async def _name_the_nameless(self, places: Sequence[int]) -> None:
        """Where a page failed for one image, the list of names tells which it is."""
        if not places:
            return
        why = "InvokeAI fails to read its record"
        try:
            names = await self._client.image_names()
        except InvokeError:
            names = []
        named = [names[place] if place < len(names) else "an image without a name" for place in places]
        self._unreadable.found(UnreadableImage(name, why) for name in named)
