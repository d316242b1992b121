"""The gallery reading (rule 6): newest first, back to a watermark; the last net under everything."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import structlog

from service.correlation.record import Recorder
from service.database.engine import Database
from service.errors import InvokeError
from service.invokeai.client import InvokeClient

log = structlog.get_logger()

OVERLAP = timedelta(minutes=5)
CLOCK_STEP = timedelta(seconds=1)
"""What HTTP's `Date` cannot tell apart (RFC 9110)."""
PERIOD = 300.0
"""Seconds between readings nobody asked for."""
PAGE = 200
FIRST_WAIT = 1.0
"""Seconds after a reading that failed; doubled up to PERIOD, and over when one is asked for."""
TRIES = 5
"""Passes begun again because `total` fell (something was deleted while we read)."""

WATERMARK = "SELECT gallery_watermark, created_at FROM backends WHERE id = $1"
ADVANCE = "UPDATE backends SET gallery_watermark = $2 WHERE id = $1"


class TotalFell(Exception):
    """Images were deleted during the pass: pages have shifted and one may have been skipped."""


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

    def request(self) -> None:
        self._asked.set()

    async def run(self) -> None:
        """Supervised. A reading that fails is tried again, less and less often, until one is complete."""
        wait, due = FIRST_WAIT, PERIOD
        while True:
            try:
                async with asyncio.timeout(due * random.uniform(0.9, 1.1)):
                    await self._asked.wait()
            except TimeoutError:
                pass
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
        watermark, beginning = await self._watermark()
        floor = max(watermark - OVERLAP, beginning)
        added = offset = 0
        total: int | None = None
        newest: datetime | None = None
        while True:
            page = await self._client.images_page(PAGE, offset, is_intermediate=False, starred_first=False)
            if total is not None and page.total < total:
                raise TotalFell
            total = page.total
            if newest is None and page.items:
                newest = max(image.created_at for image in page.items)
            fresh = [image for image in page.items if image.created_at >= floor]
            unknown = set(await self._recorder.unknown([image.image_name for image in fresh]))
            recorded = await self._recorder.record([image for image in fresh if image.image_name in unknown])
            added += len(recorded.added)
            offset += len(page.items)
            if len(fresh) < len(page.items) or len(page.items) < PAGE:
                break
        if newest is not None and newest > watermark:
            await self._advance(newest)
        return added

    async def _watermark(self) -> tuple[datetime, datetime]:
        """Where the last complete pass stood, pulled back by a clock that is behind it; and before what nothing is
        taken, for it is older than the backend and comes by Import. Both on the server's clock."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(WATERMARK, self.backend_id)
        server_now = self._client.server_time()
        if row is None:
            raise InvokeError("the backend was removed")
        offset = server_now - self._clock() if server_now is not None else timedelta()
        beginning = row["created_at"] + offset - CLOCK_STEP
        watermark: datetime = row["gallery_watermark"] or beginning
        if server_now is not None and server_now < watermark:
            watermark = server_now
        if watermark != row["gallery_watermark"]:
            await self._advance(watermark)
        return watermark, min(beginning, watermark)

    async def _advance(self, watermark: datetime) -> None:
        async with self._database.connection() as connection:
            await connection.execute(ADVANCE, self.backend_id, watermark)
