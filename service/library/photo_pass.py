"""The background pass over photos: slow, resumable, and the only one there is (rows are true, one background pass).

Five walks take turns, each from the newest photo to the oldest:
- *sizes*: checks that each file and rendition is there and has its length. It is cheap, so it is done often, and at
  once when a lost file was found: others may be lost too.
- *derive*: reads the files, or only the rows, of photos of which this release derives more (`derive.VERSION`).
- *patrol*: reads every file within `patrol_days`, and compares it with its checksum.
- *link*: links names of source images to photos, if that was not done when either was recorded.
- *large*: makes missing large renditions, or removes them if the owner switched them off.
A file is read once for all of that.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg
import msgspec
import structlog

from service.bus.bus import Bus
from service.bus.live_state import Resource
from service.config.runtime_settings import RuntimeSettings
from service.database.engine import Database
from service.errors import DataFolderAway
from service.library.pass_schedule import BATCH, DAY, NEWEST, SHORTEST_BETWEEN_SIZES, PassSchedule, PassState
from service.library.renditions import Original, Renditions
from service.media.layout import is_selected_path
from service.media.sizes import Size, is_cropped_by_release
from service.photos import derive, photo_sources
from service.photos.integrity import MISSING, Integrity, LostFile
from service.selection.mover import FileMover

log = structlog.get_logger()

QUIET_SECONDS: Final = 60.0
"""Seconds after a start in which nothing is done."""
SHARE: Final = 0.2
"""The share of the time that is spent at work, of one core and of the disk."""
WINDOW: Final = 500
"""Rows that are searched at a time."""
SIZES_BATCH: Final = 200
"""Files whose size is checked in one step."""
LONGEST_REST: Final = 60.0
IDLE_SECONDS: Final = 1.0
LONGEST_WAIT_FOR_RETRIEVAL: Final = 60.0
TROUBLE_PAUSE: Final = 5.0
LARGE_EVERY: Final = 60.0
"""Seconds between two searches for photos without a large rendition, once none is left."""
DISCARDED_AT_ONCE: Final = 200
NAMES_AT_ONCE: Final = 1_000
"""Names of source images that are linked in one step. One photo has fewer."""


ROWS = """
    SELECT id, invoke_id, coalesce(local_storage_path, '') AS path, local_thumbnail_path AS thumbnail,
           coalesce(file_size, 0) AS file_size, coalesce(sha256, '') AS sha256, retrieval_status AS status,
           coalesce(derived, 0) AS derived, width, height, thumbnail_width, large_bytes,
           purged_at IS NOT NULL AS is_purged
      FROM photos WHERE id < $1 ORDER BY id DESC LIMIT $2
"""


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
        """Whether the first release made its thumbnail of a strip."""
        return self.thumbnail_width is None and is_cropped_by_release(Size(self.width, self.height))


class PassReport(Resource, frozen=True, kw_only=True):
    """The background pass over photos."""

    looked_at: int
    """Photos whose file was read in the present patrol."""
    estimated: int
    """Estimated number of photos."""
    began_at: datetime | None
    """Null in the first minute after a start."""
    completed_at: datetime | None
    """When the last complete patrol ended; null before the first."""
    damaged: int
    """Files found damaged in this patrol and the one before; `missing` and `thumbnails_made` likewise."""
    missing: int
    thumbnails_made: int
    is_deriving: bool
    """Whether photos of an earlier release are still being read."""
    stopped_by: str | None
    """Why the pass has stopped, in words."""


class PhotoPass:
    """`under_way` has the tokens of the files that are being received: they go first."""

    def __init__(
        self,
        database: Database,
        integrity: Integrity,
        renditions: Renditions,
        bus: Bus,
        *,
        mover: FileMover,
        settings: RuntimeSettings,
        under_way: Collection[UUID],
        quiet_seconds: float = QUIET_SECONDS,
    ) -> None:
        self._database = database
        self._integrity = integrity
        self._renditions = renditions
        self._bus = bus
        self._mover = mover
        self._under_way = under_way
        self._quiet_seconds = quiet_seconds
        self._state: PassState | None = None
        self._schedule = PassSchedule(database, settings)
        self._sizes_behind: UUID | None = None
        self._sizes_ended_at: float | None = None
        self._large_behind: UUID | None = None
        self._large_ended_at: float | None = None
        self._link_behind: UUID | None = None
        self._link_ended_at: float | None = None
        self._stopped_by: str | None = None

    def report(self) -> PassReport:
        state = self._state
        patrol = state.patrol if state else None
        both = [each for each in (patrol, state.before if state else None) if each is not None]
        return PassReport(
            looked_at=patrol.looked_at if patrol else 0,
            estimated=self._schedule.estimated,
            began_at=patrol.began_at if patrol else None,
            completed_at=state.completed_at if state else None,
            damaged=sum(each.damaged for each in both),
            missing=sum(each.missing for each in both),
            thumbnails_made=sum(each.thumbnails_made for each in both),
            is_deriving=state is not None and state.derived < derive.VERSION,
            stopped_by=self._stopped_by,
        )

    async def run(self) -> None:
        """Runs until cancelled (for the supervisor)."""
        await asyncio.sleep(self._quiet_seconds)
        state = self._state = await self._schedule.load()
        while True:
            await self._let_retrieval_go_first()
            try:
                # The walks take turns, even if one has much to do.
                did = [
                    await self._sizes(state),
                    await self._derive(state),
                    await self._link(),
                    await self._patrol(state),
                    await self._large(state),
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
        while self._under_way and time.monotonic() - waited_since < LONGEST_WAIT_FOR_RETRIEVAL:  # noqa: ASYNC110
            await asyncio.sleep(0.2)

    # --- The five walks: each does one step, and returns whether it did anything ---

    async def _sizes(self, state: PassState) -> bool:
        now = time.monotonic()
        if self._sizes_behind is None:
            since = now - self._sizes_ended_at if self._sizes_ended_at is not None else None
            wait = SHORTEST_BETWEEN_SIZES if self._integrity.suspicious else self._schedule.seconds_between_sizes()
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
                await self._lost(state, row, look.fault)
                await _rest(began)
            elif not look.has_thumbnail:
                await self._make_thumbnail(state, row)
                await _rest(began)
        if forgotten := {row.id: row.path for row, look in zip(rows, looks, strict=True) if not look.has_large}:
            await self._renditions.forget_large(forgotten)
            self._large_behind = self._large_ended_at = None
        self._sizes_behind = behind
        if behind is None:
            self._sizes_ended_at = time.monotonic()
        return True

    async def _derive(self, state: PassState) -> bool:
        if state.derived >= derive.VERSION:
            return False
        if state.deriving != derive.VERSION:
            state.deriving, state.derive_behind = derive.VERSION, NEWEST
        rows, behind = await self._next(state.derive_behind, BATCH, is_underived)
        await self._read_rows([row for row in rows if row.derived >= derive.OF_ROW])
        await self._read(state, [row for row in rows if row.derived < derive.OF_ROW])
        state.derive_behind = behind or NEWEST
        if behind is None:
            state.derived = derive.VERSION
            log.info("every photo is derived", version=derive.VERSION)
        await self._schedule.save(state)
        return True

    async def _link(self) -> bool:
        if self._link_behind is None:
            if self._link_ended_at is not None and time.monotonic() - self._link_ended_at < DAY:
                return False
            self._link_behind = NEWEST
        began = time.monotonic()
        async with self._database.connection() as connection:
            sources, behind = await photo_sources.unlinked(connection, self._link_behind, NAMES_AT_ONCE)
        await _rest(began)
        for photo, names in sources.items():
            began = time.monotonic()
            async with self._database.transaction() as connection:
                await photo_sources.link_own(connection, photo, names)
            self._bus.changed("photo.updated", [photo])
            await _rest(began)
        self._link_behind = behind
        if behind is None:
            self._link_ended_at = time.monotonic()
        return True

    async def _patrol(self, state: PassState) -> bool:
        await self._schedule.estimate()
        due = self._schedule.due(state)
        if due < self._schedule.enough(state.patrol.looked_at):
            return False
        patrol = state.patrol
        rows, behind = await self._next(patrol.behind, min(due, BATCH), is_patrolled)
        await self._read(state, rows)
        patrol.looked_at += len(rows)
        if behind is None:
            await self._schedule.end_patrol(state)
            log.info(
                "every photo was looked at", photos=patrol.looked_at, damaged=patrol.damaged, missing=patrol.missing
            )
        else:
            patrol.behind = behind
        await self._schedule.save(state)
        return True

    async def _large(self, state: PassState) -> bool:
        if not self._renditions.keeps_large:
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
            await self._make(state, original, large=True)
            await _rest(began)
        self._large_behind = originals[-1].id if len(originals) == BATCH else None
        if self._large_behind is None:
            self._large_ended_at = time.monotonic()
        return bool(originals)

    # --- One photo ---

    async def _read_rows(self, rows: Sequence[Row]) -> None:
        """Derives columns of rows for which no file has to be read."""
        if not rows:
            return
        began = time.monotonic()
        async with self._database.connection() as connection:
            self._bus.changed("photo.updated", await derive.write_of_row(connection, [row.id for row in rows]))
        await _rest(began)

    async def _read(self, state: PassState, rows: Sequence[Row]) -> None:
        for row in rows:
            began = time.monotonic()
            try:
                await self._look_at(state, row)
            except (DataFolderAway, asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                raise
            except Exception:
                # One unexpected photo must not stop the pass.
                log.exception("photo not looked at", photo=str(row.id))
            await _rest(began)

    async def _look_at(self, state: PassState, row: Row) -> None:
        if row.status != "completed":
            await self._integrity.found_again(row.id, row.path, row.sha256)
            return
        checked = await self._integrity.check(row.path, row.file_size, row.sha256)
        if checked.fault is not None:
            await self._lost(state, row, checked.fault)
            return
        if row.thumbnail and (row.has_line_for_thumbnail or not await self._integrity.has_thumbnail(row.thumbnail)):
            await self._make_thumbnail(state, row)
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
            self._bus.changed("photo.updated", [row.id])

    async def _lost(self, state: PassState, photo: Row | Original, fault: str) -> None:
        status = await self._integrity.lost(photo.id, photo.path, photo.sha256, fault, next_in_line=False)
        if status is not None:
            state.patrol.missing += fault == MISSING
            state.patrol.damaged += fault != MISSING

    async def _make_thumbnail(self, state: PassState, row: Row) -> None:
        lacks_large = row.large_bytes is None and self._renditions.keeps_large
        if await self._make(state, row.original, small=True, large=lacks_large):
            state.patrol.thumbnails_made += 1

    async def _make(self, state: PassState, original: Original, *, small: bool = False, large: bool = False) -> bool:
        try:
            return await self._renditions.make(original, small=small, large=large) is not None
        except LostFile as lost:
            await self._lost(state, original, str(lost))
            return False

    # --- The next photos ---

    async def _next(self, behind: UUID, at_most: int, wanted: Callable[[Row], bool]) -> tuple[list[Row], UUID | None]:
        """The next wanted photos, and the id to go on after; None at the end."""
        async with self._database.connection() as connection:
            found = [Row(**row) for row in await connection.fetch(ROWS, behind, WINDOW)]
        rows = [row for row in found if wanted(row)][:at_most]
        if len(rows) == at_most:
            return rows, rows[-1].id
        return rows, found[-1].id if len(found) == WINDOW else None


def is_home(row: Row) -> bool:
    return row.status == "completed" and not row.is_purged


def is_underived(row: Row) -> bool:
    return is_home(row) and row.derived < derive.VERSION


def is_patrolled(row: Row) -> bool:
    """Whether its file is read: also that of a lost photo, since it may have been put back."""
    return row.path != "" and row.sha256 != "" and row.status != "retrieving" and not row.is_purged


async def _rest(began: float) -> None:
    """Sleeps so long that the work has its share of the time."""
    worked = time.monotonic() - began
    await asyncio.sleep(min(worked * (1 / SHARE - 1), LONGEST_REST))
