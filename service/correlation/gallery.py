"""The gallery reading (rule 6): newest first, back to a watermark; the last net under everything."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import structlog

from service.correlation.record import Recorder
from service.database.engine import Database
from service.errors import InvokeError
from service.invokeai.client import InvokeClient
from service.invokeai.events import ImagePage
from service.invokeai.server import CLOCK_STEP
from service.waiting import happened

log = structlog.get_logger()

OVERLAP = timedelta(minutes=5)
PERIOD = 300.0
"""Seconds between readings nobody asked for."""
PAGE = 200
FIRST_WAIT = 1.0
"""Seconds after a reading that failed; doubled up to PERIOD, and over when one is asked for."""
TRIES = 5
"""Passes begun again because `total` fell (something was deleted while we read)."""

ROW = "SELECT gallery_watermark, created_at, mirror FROM backends WHERE id = $1"
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


class Gallery:
    """Reads one backend's gallery when asked, and now and then by itself."""

    def __init__(
        self,
        backend_id: UUID,
        client: InvokeClient,
        recorder: Recorder,
        database: Database,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.backend_id = backend_id
        self.read_from: datetime | None = None
        """When, on our clock, the last complete reading began."""
        self._client = client
        self._recorder = recorder
        self._database = database
        self._clock = clock
        self._asked = asyncio.Event()
        self._beginning = datetime.max.replace(tzinfo=UTC)

    def request(self) -> None:
        self._asked.set()

    async def run(self) -> None:
        """Supervised. A reading that fails is tried again, less and less often, until one is complete."""
        wait, due = FIRST_WAIT, PERIOD
        while True:
            await happened(self._asked, due * random.uniform(0.9, 1.1))
            self._asked.clear()
            try:
                await self.read()
                wait, due = FIRST_WAIT, PERIOD
            except InvokeError as error:
                log.info("gallery_reading_failed", backend_id=str(self.backend_id), error=str(error), seconds=wait)
                due, wait = wait, min(wait * 2, PERIOD)
            except Exception:
                self._asked.set()  # not InvokeAI's trouble: to be read as soon as the supervisor begins again
                raise

    async def read(self) -> int:
        """One complete reading; how many photos it added. Raises InvokeError."""
        for _ in range(TRIES):
            began = self._clock()
            try:
                added = await self._pass()
            except TotalFell:
                continue
            self.read_from = began
            return added
        raise InvokeError("images were deleted during every pass of the gallery reading")

    async def _pass(self) -> int:
        page = await self._page(0)  # first, for its answer tells the server's time
        server_now = self._client.server_time()
        reach = await self._reach(server_now)
        floor = max(reach.watermark - OVERLAP, reach.beginning)
        newest = max((image.created_at for image in page.items), default=reach.watermark)
        added = offset = 0
        while True:
            fresh = [image for image in page.items if image.created_at >= floor]
            unknown = set(await self._recorder.unknown([image.image_name for image in fresh]))
            new = [image for image in fresh if image.image_name in unknown]
            recorded = await self._recorder.record(new, mirror=reach.mirror)
            added += len(recorded.added)
            offset += len(page.items)
            if len(fresh) < len(page.items) or len(page.items) < PAGE:
                break
            total, page = page.total, await self._page(offset)
            if page.total < total:
                raise TotalFell
        # Images from before the clock was set back are newer than now: what comes next must not hide behind them.
        reached = newest if server_now is None else min(newest, server_now)
        if reached > reach.watermark:
            await self._move(reach.mirror, reach.watermark, reached)
        return added

    async def _page(self, offset: int) -> ImagePage:
        return await self._client.images_page(PAGE, offset, is_intermediate=False, starred_first=False)

    async def _reach(self, server_now: datetime | None) -> Reach:
        async with self._database.connection() as connection:
            row = await connection.fetchrow(ROW, self.backend_id)
        if row is None:
            raise InvokeError("the backend was removed")
        offset = server_now - self._clock() if server_now is not None else timedelta()
        # Of a server clock that was set forward nothing may hide what was made under the old time.
        self._beginning = beginning = min(self._beginning, row["created_at"] + offset - CLOCK_STEP)
        watermark: datetime = row["gallery_watermark"] or beginning
        if server_now is not None:
            watermark = min(watermark, server_now, (self.read_from or self._clock()) + offset)
        mirror = row["mirror"] == "all"
        if watermark != row["gallery_watermark"]:
            await self._move(mirror, row["gallery_watermark"], watermark)
        return Reach(mirror, watermark, min(beginning, watermark))

    async def _move(self, mirror: bool, before: datetime | None, after: datetime) -> None:
        async with self._database.connection() as connection:
            await connection.execute(MOVE, self.backend_id, mirror, before, after)
