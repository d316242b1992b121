"""The position of the background pass over photos, and how much of it is due (one background pass)."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from service.config.runtime_settings import RuntimeSettings
from service.database.engine import Database

BATCH: Final = 20
"""Files between two writes of the position: a kill repeats at most so many."""
WORTH_A_STEP: Final = 60.0
SIZES_PER_PATROL: Final = 30
SHORTEST_BETWEEN_SIZES: Final = 5.0
ESTIMATE_EVERY: Final = 60.0
DAY: Final = 86_400.0

KEY: Final = "photo_pass"
NEWEST: Final = UUID(int=2**128 - 1)

# Exact for a small library, the planner's estimate for a large one.
ESTIMATE = """
    SELECT greatest(reltuples::bigint, (SELECT count(*) FROM (SELECT FROM photos LIMIT 10001) AS capped))
      FROM pg_class WHERE oid = 'photos'::regclass
"""
LOAD = "SELECT now() AS now, (SELECT value::text FROM settings WHERE key = $1) AS kept"
SAVE = "INSERT INTO settings (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
NOW = "SELECT now()"


class Patrol(msgspec.Struct):
    """The position of one patrol. Times are the database's."""

    began_at: datetime
    behind: UUID = NEWEST
    """The photo that was read last; older ones follow."""
    looked_at: int = 0
    damaged: int = 0
    missing: int = 0
    thumbnails_made: int = 0


class PassState(msgspec.Struct):
    """The position of the pass, kept across restarts."""

    patrol: Patrol
    before: Patrol | None = None
    """The last complete patrol."""
    completed_at: datetime | None = None
    """When the last complete patrol ended."""
    derived: int = 0
    """The version that every photo has reached."""
    deriving: int = 0
    """The version that is being derived."""
    derive_behind: UUID = NEWEST


class PassSchedule:
    """Keeps the position in the `settings` table. A patrol reads every photo within the owner's `patrol_days`."""

    def __init__(self, database: Database, settings: RuntimeSettings) -> None:
        self._database = database
        self._settings = settings
        self.estimated = 0
        """About how many photos there are."""
        self._estimated_at = -ESTIMATE_EVERY
        self._elapsed = 0.0
        self._elapsed_at = 0.0

    async def end_patrol(self, state: PassState) -> None:
        """The patrol is complete, and the next one begins now."""
        async with self._database.connection() as connection:
            now: datetime = await connection.fetchval(NOW)
        state.completed_at, state.before, state.patrol = now, state.patrol, Patrol(now)
        self._elapsed, self._elapsed_at = 0.0, time.monotonic()

    def _patrol_seconds(self) -> float:
        return self._settings.current.patrol_days * DAY

    def seconds_between_sizes(self) -> float:
        return max(SHORTEST_BETWEEN_SIZES, self._patrol_seconds() / SIZES_PER_PATROL)

    def due(self, state: PassState) -> int:
        """How many photos the patrol is behind its schedule."""
        elapsed = self._elapsed + time.monotonic() - self._elapsed_at
        return int(max(1, self.estimated) * elapsed / self._patrol_seconds()) - state.patrol.looked_at

    def enough(self, looked_at: int) -> int:
        """How many photos one step reads: those that are due within a minute, but no more than a batch, or than are
        left."""
        each = self._patrol_seconds() / max(1, self.estimated)
        return int(max(1, min(BATCH, self.estimated - looked_at, WORTH_A_STEP / each)))

    async def estimate(self) -> None:
        if time.monotonic() - self._estimated_at < ESTIMATE_EVERY:
            return
        async with self._database.connection() as connection:
            self.estimated = await connection.fetchval(ESTIMATE)
        self._estimated_at = time.monotonic()

    async def load(self) -> PassState:
        """The position of the last process. A patrol is behind by the time that Darkroom did not run, but by no more
        than one patrol, even if the clock says so."""
        async with self._database.connection() as connection:
            (row,) = await connection.fetch(LOAD, KEY)
        try:
            state = msgspec.json.decode(row["kept"] or "null", type=PassState)
        except msgspec.ValidationError:
            state = PassState(Patrol(row["now"]))
        self._estimated_at = -ESTIMATE_EVERY
        await self.estimate()
        done = min(1.0, state.patrol.looked_at / max(1, self.estimated)) * self._patrol_seconds()
        elapsed = (row["now"] - state.patrol.began_at).total_seconds()
        self._elapsed, self._elapsed_at = min(max(elapsed, done), self._patrol_seconds()), time.monotonic()
        return state

    async def save(self, state: PassState) -> None:
        async with self._database.connection() as connection:
            await connection.execute(SAVE, KEY, msgspec.json.encode(state).decode())
