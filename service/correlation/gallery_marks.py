"""The two times of a backend's gallery, on InvokeAI's clock (gallery reading).
Before the beginning nothing is taken; up to the watermark everything was read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from service.database.engine import Connection, Database
from service.errors import InvokeError
from service.invokeai.client import InvokeClient
from service.invokeai.server import CLOCK_STEP

OLDER_NAMES = 1000
"""Older images whose names are kept: one page."""
SET_BACK = timedelta(minutes=5)
"""How much older than the server's present time an image may be that was made since its clock was set back."""

# How long ago it was added is measured on the database's clock alone, once, and never taken to be less than nothing.
LEARN = """
    UPDATE backends
       SET gallery_beginning = $2::timestamptz - greatest(now() - created_at, interval '0') - $3::interval
     WHERE id = $1 AND gallery_beginning IS NULL
"""
READ = "SELECT coalesce(gallery_beginning, created_at) FROM backends WHERE id = $1"
LOWER = "UPDATE backends SET gallery_beginning = $2 WHERE id = $1 AND gallery_beginning > $2"
READ_OLDER = "SELECT gallery_older FROM backends WHERE id = $1"
KEEP_OLDER = "UPDATE backends SET gallery_older = $2 WHERE id = $1 AND gallery_older IS NULL"
ROW = "SELECT gallery_watermark, gallery_older IS NOT NULL AS knows_older, mirror FROM backends WHERE id = $1"
# Guarded by how the pass began: what moved it since, or takes more now, to have more read, knows better.
MOVE = """
    UPDATE backends SET gallery_watermark = $4
     WHERE id = $1 AND (mirror = 'all') = $2 AND gallery_watermark IS NOT DISTINCT FROM $3
"""


class ScanWindow(msgspec.Struct, frozen=True):
    """What one pass takes, by the row at its beginning."""

    mirror: bool
    """Whether everybody's images are taken, not ours alone."""
    watermark: datetime
    """The watermark of the last complete pass, pulled back to when that began if the clock was set back since."""
    beginning: datetime
    """Images before it are not taken: they come by Import."""
    knows_older: bool
    """Whether the names of images from before are kept."""


class GalleryMarks:
    """The marks of one backend. The beginning is learned once, at the first answer that tells InvokeAI's time; it is
    never compared with another clock later."""

    def __init__(self, backend_id: UUID, client: InvokeClient, database: Database) -> None:
        self._backend_id = backend_id
        self._client = client
        self._database = database
        self._older: frozenset[str] | None = None

    async def since(self) -> datetime | None:
        """Images made before are not taken. None when the backend was removed."""
        server_now = self._client.server_time()
        async with self._database.connection() as connection:
            if server_now is not None:
                await connection.execute(LEARN, self._backend_id, server_now, CLOCK_STEP)
            beginning: datetime | None = await connection.fetchval(READ, self._backend_id)
        if beginning is not None and server_now is not None and server_now < beginning:
            return server_now - SET_BACK  # the clock was set back; the next gallery reading learns how far
        return beginning

    async def window(self, elapsed: float) -> ScanWindow:
        """The window of a pass that begins now; the last complete one began `elapsed` seconds ago. Raises
        InvokeError."""
        server_now = self._client.server_time()
        beginning = await self.since()
        async with self._database.connection() as connection:
            row = await connection.fetchrow(ROW, self._backend_id)
            if row is None or beginning is None:
                raise InvokeError("the backend was removed")
            watermark: datetime = row["gallery_watermark"] or beginning
            if server_now is not None:
                # What was made since the last pass is no older than this, however far the server's clock was set back.
                earliest = server_now - timedelta(seconds=elapsed) - CLOCK_STEP
                beginning, watermark = min(beginning, earliest), min(watermark, earliest)
                await connection.execute(LOWER, self._backend_id, beginning)
        mirror = row["mirror"] == "all"
        if watermark != row["gallery_watermark"]:
            await self.move(mirror, row["gallery_watermark"], watermark)
        return ScanWindow(mirror, watermark, beginning, row["knows_older"])

    async def advance(self, window: ScanWindow, newest: datetime) -> datetime:
        """Moves the watermark after a complete pass; returns where it stands."""
        # Images from before the clock was set back are newer than now: what comes next must not hide behind them.
        server_now = self._client.server_time()
        reached = newest if server_now is None else min(newest, server_now)
        if reached <= window.watermark:
            return window.watermark
        await self.move(window.mirror, window.watermark, reached)
        return reached

    async def move(self, mirror: bool, before: datetime | None, after: datetime) -> None:
        """Writes the watermark, unless it, or what is mirrored, has changed since."""
        async with self._database.connection() as connection:
            await connection.execute(MOVE, self._backend_id, mirror, before, after)

    # --- after a clock was set back, times alone do not tell old images from new ones ---

    async def older(self, connection: Connection, names: Sequence[str]) -> frozenset[str]:
        """The names that were there before, of those that are kept."""
        if self._older is None:
            kept: list[str] | None = await connection.fetchval(READ_OLDER, self._backend_id)
            if kept is None:
                return frozenset()
            self._older = frozenset(kept)
        return self._older.intersection(names)

    async def keep_older(self, names: Sequence[str]) -> None:
        """Keeps the names once, when the gallery is first read."""
        async with self._database.connection() as connection:
            await connection.execute(KEEP_OLDER, self._backend_id, list(names[:OLDER_NAMES]))
