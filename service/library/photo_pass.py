"""The background pass over photos (rules 18 and 20): slow, resumable, and the only one there is.

It walks the photos from the newest to the oldest, in four ways that take turns:
- *sizes*: whether each file and rendition is there and as long as it should be. Cheap, so it is done often, and at once
  when a lost file was found: others may be lost with it.
- *derive*: reads the files of which this release derives more than the row has (`derive.VERSION`).
- *patrol*: reads every file within `patrol_days`, and compares it with its checksum.
- *large*: makes the large renditions that are not there yet, or removes them where the owner keeps none.
Whatever reads a file reads it once for all of that.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg
import msgspec
import structlog

from service.database.engine import Database
from service.errors import DataFolderAway
from service.library.integrity import MISSING, Integrity, LostFile
from service.library.renditions import Original, Renditions
from service.live.announce import Announcer
from service.live.messages import Resource
from service.media.layout import is_selected_path
from service.media.sizes import Size, is_cropped_by_release
from service.retrieval import derive
from service.selection.mover import FileMover

log = structlog.get_logger()

QUIET_SECONDS: Final = 60.0
"""After a start, for which nothing is done."""
SHARE: Final = 0.2
"""Of the time, that is spent at work: of one core, and of the disk."""
BATCH: Final = 20
"""Files read between two notes of how far it has come: what a kill repeats at most."""
WINDOW: Final = 500
"""Rows looked through at a time for those that matter."""
SIZES_BATCH: Final = 200
"""Files whose size is looked at in one step."""
LONGEST_REST: Final = 60.0
IDLE_SECONDS: Final = 1.0
WORTH_A_STEP: Final = 60.0
LONGEST_WAIT_FOR_RETRIEVAL: Final = 60.0
TROUBLE_PAUSE: Final = 5.0
LARGE_EVERY: Final = 60.0
"""Seconds after the last photo without a large rendition was looked at, until they are looked for again."""
DISCARDED_AT_ONCE: Final = 200
SIZES_PER_PATROL: Final = 30
SHORTEST_BETWEEN_SIZES: Final = 5.0
ESTIMATE_EVERY: Final = 60.0
DAY: Final = 86_400.0

KEY: Final = "photo_pass"
NEWEST: Final = UUID(int=2**128 - 1)

ROWS = """
    SELECT id, invoke_id, coalesce(local_storage_path, '') AS path, local_thumbnail_path AS thumbnail,
           coalesce(file_size, 0) AS file_size, coalesce(sha256, '') AS sha256, retrieval_status AS status,
           coalesce(derived, 0) AS derived, width, height, thumbnail_width, large_bytes,
           purged_at IS NOT NULL AS is_purged
      FROM photos WHERE id < $1 ORDER BY id DESC LIMIT $2
"""
# Exact for a small library, the planner's own count for a large one.
ESTIMATE = """
    SELECT greatest(reltuples::bigint, (SELECT count(*) FROM (SELECT FROM photos LIMIT 10001) AS capped))
      FROM pg_class WHERE oid = 'photos'::regclass
"""
LOAD = "SELECT now() AS now, (SELECT value::text FROM settings WHERE key = $1) AS kept"
SAVE = "INSERT INTO settings (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
NOW = "SELECT now()"


class Row(msgspec.Struct, frozen=True):
    id: UUID
    invoke_id: str | None
    path: str
    thumbnail: str | None
    file_size: int
    sha256: str
    """Empty for a photo that was never home, as is `path` for one that has no place."""
    status: str
    derived: int
    width: int
    height: int
    thumbnail_width: int | None
    large_bytes: int | None
    is_purged: bool

    @property
    def original(self) -> Original:
        return Original(self.id, self.path, self.thumbnail, self.file_size, self.sha256)

    @property
    def has_line_for_thumbnail(self) -> bool:
        """The first release made it of a strip."""
        return self.thumbnail_width is None and is_cropped_by_release(Size(self.width, self.height))


class Patrol(msgspec.Struct):
    """How far one patrol has come. Times are the database's."""

    began_at: datetime
    behind: UUID = NEWEST
    """The photo looked at last; older ones follow."""
    looked_at: int = 0
    damaged: int = 0
    missing: int = 0
    thumbnails_made: int = 0


class Progress(msgspec.Struct):
    """What outlives a restart."""

    patrol: Patrol
    before: Patrol | None = None
    """The last complete patrol."""
    completed_at: datetime | None = None
    """When that ended."""
    derived: int = 0
    """The version that every photo has been brought to."""
    deriving: int = 0
    """The version that they are being brought to."""
    derive_behind: UUID = NEWEST


class PassReport(Resource, frozen=True, kw_only=True):
    """The background pass over photos."""

    looked_at: int
    """Photos whose file was read in the patrol that is under way."""
    estimated: int
    """About how many photos there are."""
    began_at: datetime | None
    """Null until the first minute after a start is over."""
    completed_at: datetime | None
    """When the last complete patrol ended; null before the first."""
    damaged: int
    """Files found damaged in this patrol and the one before; `missing` and `thumbnails_made` likewise."""
    missing: int
    thumbnails_made: int
    is_deriving: bool
    """Whether photos of an earlier release are still being read."""
    stopped_by: str | None
    """Why nothing is looked at just now, in words."""


class PhotoPass:
    """`busy` tells whether photos are being fetched just now, which goes before; `patrol_days` is the owner's."""

    def __init__(
        self,
        database: Database,
        integrity: Integrity,
        renditions: Renditions,
        announcer: Announcer,
        *,
        mover: FileMover,
        busy: Callable[[], bool],
        patrol_days: Callable[[], float],
        quiet_seconds: float = QUIET_SECONDS,
    ) -> None:
        self._database = database
        self._integrity = integrity
        self._renditions = renditions
        self._announcer = announcer
        self._mover = mover
        self._busy = busy
        self._patrol_days = patrol_days
        self._quiet_seconds = quiet_seconds
        self._progress: Progress | None = None
        self._elapsed = 0.0
        self._elapsed_at = 0.0
        self._estimated = 0
        self._estimated_at = -ESTIMATE_EVERY
        self._sizes_behind: UUID | None = None
        self._sizes_ended_at: float | None = None
        self._large_behind: UUID | None = None
        self._large_ended_at: float | None = None
        self._stopped_by: str | None = None

    def report(self) -> PassReport:
        progress = self._progress
        patrol = progress.patrol if progress else None
        both = [each for each in (patrol, progress.before if progress else None) if each is not None]
        return PassReport(
            looked_at=patrol.looked_at if patrol else 0,
            estimated=self._estimated,
            began_at=patrol.began_at if patrol else None,
            completed_at=progress.completed_at if progress else None,
            damaged=sum(each.damaged for each in both),
            missing=sum(each.missing for each in both),
            thumbnails_made=sum(each.thumbnails_made for each in both),
            is_deriving=progress is not None and progress.derived < derive.VERSION,
            stopped_by=self._stopped_by,
        )

    async def run(self) -> None:
        """Runs until cancelled (for the supervisor)."""
        await asyncio.sleep(self._quiet_seconds)
        progress = await self._load()
        while True:
            await self._let_retrieval_go_first()
            try:
                # Each has its turn, however much the others have to do.
                did = [
                    await self._sizes(progress),
                    await self._derive(progress),
                    await self._patrol(progress),
                    await self._large(progress),
                ]
            except DataFolderAway as error:
                if self._stopped_by is None:
                    log.warning("photos are not looked at", reason=error.message)
                self._stopped_by = error.message
                await asyncio.sleep(TROUBLE_PAUSE)
                continue
            self._stopped_by = None
            if not any(did):
                await asyncio.sleep(IDLE_SECONDS)

    async def _let_retrieval_go_first(self) -> None:
        waited_since = time.monotonic()
        while self._busy() and time.monotonic() - waited_since < LONGEST_WAIT_FOR_RETRIEVAL:  # noqa: ASYNC110
            await asyncio.sleep(0.2)

    # --- The four walks: each does one step, and tells whether it did anything ---

    async def _sizes(self, progress: Progress) -> bool:
        now = time.monotonic()
        if self._sizes_behind is None:
            since = now - self._sizes_ended_at if self._sizes_ended_at is not None else None
            wait = SHORTEST_BETWEEN_SIZES if self._integrity.suspicious else self._seconds_between_sizes()
            if since is not None and since < wait:
                return False
            self._integrity.suspicious = False
            self._sizes_behind = NEWEST
        rows, behind = await self._next(self._sizes_behind, SIZES_BATCH, is_home)
        began = time.monotonic()
        files = [(row.path, row.file_size, row.thumbnail, (row.large_bytes or 0) > 0) for row in rows]
        looks = await self._integrity.check_sizes(files)
        await _rest(began)
        for row, look in zip(rows, looks, strict=True):
            began = time.monotonic()
            if look.fault is not None:
                await self._lost(progress, row, look.fault)
                await _rest(began)
            elif not look.has_thumbnail:
                await self._make_thumbnail(progress, row)
                await _rest(began)
        if forgotten := {row.id: row.path for row, look in zip(rows, looks, strict=True) if not look.has_large}:
            await self._renditions.forget_large(forgotten)
            self._large_behind = self._large_ended_at = None
        self._sizes_behind = behind
        if behind is None:
            self._sizes_ended_at = time.monotonic()
        return True

    async def _derive(self, progress: Progress) -> bool:
        if progress.derived >= derive.VERSION:
            return False
        if progress.deriving != derive.VERSION:
            progress.deriving, progress.derive_behind = derive.VERSION, NEWEST
        rows, behind = await self._next(progress.derive_behind, BATCH, is_underived)
        await self._read(progress, rows)
        progress.derive_behind = behind or NEWEST
        if behind is None:
            progress.derived = derive.VERSION
            log.info("every photo is derived", version=derive.VERSION)
        await self._save(progress)
        return True

    async def _patrol(self, progress: Progress) -> bool:
        await self._estimate()
        due = self._due(progress)
        if due < self._enough(progress.patrol.looked_at):
            return False
        patrol = progress.patrol
        rows, behind = await self._next(patrol.behind, min(due, BATCH), is_patrolled)
        await self._read(progress, rows)
        patrol.looked_at += len(rows)
        if behind is None:
            progress.completed_at = await self._now()
            log.info(
                "every photo was looked at", photos=patrol.looked_at, damaged=patrol.damaged, missing=patrol.missing
            )
            progress.before, progress.patrol = patrol, Patrol(progress.completed_at)
            self._elapsed, self._elapsed_at = 0.0, time.monotonic()
        else:
            patrol.behind = behind
        await self._save(progress)
        return True

    async def _large(self, progress: Progress) -> bool:
        if not self._renditions.keeps_large():
            began = time.monotonic()
            self._large_behind = self._large_ended_at = None
            discarded = await self._renditions.discard_large(DISCARDED_AT_ONCE)
            await _rest(began)
            return discarded > 0
        if self._large_behind is None:
            if self._large_ended_at is not None and time.monotonic() - self._large_ended_at < LARGE_EVERY:
                return False
            self._large_behind = NEWEST
        originals = await self._renditions.lacking(self._large_behind, BATCH)
        for original in originals:
            await self._let_retrieval_go_first()
            began = time.monotonic()
            await self._make(progress, original, large=True)
            await _rest(began)
        self._large_behind = originals[-1].id if len(originals) == BATCH else None
        if self._large_behind is None:
            self._large_ended_at = time.monotonic()
        return bool(originals)

    # --- One photo ---

    async def _read(self, progress: Progress, rows: Sequence[Row]) -> None:
        for row in rows:
            began = time.monotonic()
            try:
                await self._look_at(progress, row)
            except (DataFolderAway, asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                raise
            except Exception:
                # One photo that nobody thought of stops nothing.
                log.exception("photo not looked at", photo=str(row.id))
            await _rest(began)

    async def _look_at(self, progress: Progress, row: Row) -> None:
        if row.status != "completed":
            await self._integrity.found_again(row.id, row.path, row.sha256)
            return
        checked = await self._integrity.check(row.path, row.file_size, row.sha256)
        if checked.fault is not None:
            await self._lost(progress, row, checked.fault)
            return
        if row.thumbnail and (row.has_line_for_thumbnail or not await self._integrity.has_thumbnail(row.thumbnail)):
            await self._make_thumbnail(progress, row)
        if is_selected_path(row.path):
            self._mover.start(row.id)  # its second name may be missing
        if row.derived < derive.VERSION:
            png = checked.summed.png if checked.summed else None
            await self._write(row, await asyncio.to_thread(derive.derive, row.invoke_id, png))

    async def _write(self, row: Row, derived: derive.Derived) -> None:
        async with self._database.connection() as connection:
            try:
                changed = await derive.write(connection, row.id, row.sha256, derived)
            except (asyncpg.DataError, asyncpg.ProgramLimitExceededError) as error:
                log.warning("metadata cannot be kept", photo=str(row.id), reason=str(error))
                changed = await derive.write(connection, row.id, row.sha256, derive.NOTHING)
        if changed:
            self._announcer.photos_updated([row.id])

    async def _lost(self, progress: Progress, photo: Row | Original, fault: str) -> None:
        status = await self._integrity.lost(photo.id, photo.path, photo.sha256, fault, next_in_line=False)
        if status is not None:
            progress.patrol.missing += fault == MISSING
            progress.patrol.damaged += fault != MISSING

    async def _make_thumbnail(self, progress: Progress, row: Row) -> None:
        lacks_large = row.large_bytes is None and self._renditions.keeps_large()
        if await self._make(progress, row.original, small=True, large=lacks_large):
            progress.patrol.thumbnails_made += 1

    async def _make(self, progress: Progress, original: Original, *, small: bool = False, large: bool = False) -> bool:
        try:
            return await self._renditions.make(original, small=small, large=large) is not None
        except LostFile as lost:
            await self._lost(progress, original, str(lost))
            return False

    # --- How far, and how fast ---

    async def _next(self, behind: UUID, at_most: int, wanted: Callable[[Row], bool]) -> tuple[list[Row], UUID | None]:
        """The next photos that are wanted, and behind which one to go on; None at the end."""
        async with self._database.connection() as connection:
            found = [Row(**row) for row in await connection.fetch(ROWS, behind, WINDOW)]
        rows = [row for row in found if wanted(row)][:at_most]
        if len(rows) == at_most:
            return rows, rows[-1].id
        return rows, found[-1].id if len(found) == WINDOW else None

    def _period(self) -> float:
        return self._patrol_days() * DAY

    def _seconds_between_sizes(self) -> float:
        return max(SHORTEST_BETWEEN_SIZES, self._period() / SIZES_PER_PATROL)

    def _due(self, progress: Progress) -> int:
        """How many photos the patrol is behind the time."""
        elapsed = self._elapsed + time.monotonic() - self._elapsed_at
        return int(max(1, self._estimated) * elapsed / self._period()) - progress.patrol.looked_at

    def _enough(self, looked_at: int) -> int:
        """As many as are worth a step: what is due in a minute, but no more than a batch, or than are left."""
        each = self._period() / max(1, self._estimated)
        return int(max(1, min(BATCH, self._estimated - looked_at, WORTH_A_STEP / each)))

    async def _estimate(self) -> None:
        if time.monotonic() - self._estimated_at < ESTIMATE_EVERY:
            return
        async with self._database.connection() as connection:
            self._estimated = await connection.fetchval(ESTIMATE)
        self._estimated_at = time.monotonic()

    async def _load(self) -> Progress:
        """Where the last process left off. A patrol is behind by the time that Darkroom did not run, but by no more
        than one patrol, whatever the clock says."""
        async with self._database.connection() as connection:
            (row,) = await connection.fetch(LOAD, KEY)
        try:
            progress = msgspec.json.decode(row["kept"] or "null", type=Progress)
        except msgspec.ValidationError:
            progress = Progress(Patrol(row["now"]))
        self._estimated_at = -ESTIMATE_EVERY
        await self._estimate()
        done = min(1.0, progress.patrol.looked_at / max(1, self._estimated)) * self._period()
        elapsed = (row["now"] - progress.patrol.began_at).total_seconds()
        self._elapsed, self._elapsed_at = min(max(elapsed, done), self._period()), time.monotonic()
        self._progress = progress
        return progress

    async def _save(self, progress: Progress) -> None:
        async with self._database.connection() as connection:
            await connection.execute(SAVE, KEY, msgspec.json.encode(progress).decode())

    async def _now(self) -> datetime:
        async with self._database.connection() as connection:
            now: datetime = await connection.fetchval(NOW)
        return now


def is_home(row: Row) -> bool:
    return row.status == "completed" and not row.is_purged


def is_underived(row: Row) -> bool:
    return is_home(row) and row.derived < derive.VERSION


def is_patrolled(row: Row) -> bool:
    """Also a photo whose lost file may have been put back."""
    return row.path != "" and row.sha256 != "" and row.status != "retrieving" and not row.is_purged


async def _rest(began: float) -> None:
    """As long as keeps the work to its share of the time."""
    worked = time.monotonic() - began
    await asyncio.sleep(min(worked * (1 / SHARE - 1), LONGEST_REST))
