"""Cleans up after crashes: leases, temporary files, files of purged photos, and files of uploads without a row."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import PurePath
from uuid import UUID

import asyncpg
import structlog

from service.bus.bus import Bus
from service.database.engine import Database
from service.media.ingest import remove
from service.media.layout import UNRECORDED, renditions
from service.media.leftovers import Stray
from service.media.storage import LocalStorage, last_written
from service.retrieval import queue
from service.retrieval.queue import Lease

log = structlog.get_logger()

BATCH = 500
BEING_WRITTEN = 60.0
"""Seconds. A file written to since then may belong to a writer without a claim."""
UNDECIDED = 120.0
"""Seconds, longer than the database may need for a row whose writer was killed, or never heard of it."""
# Longer than a worker needs to notice that its claim is gone: it may still be about to publish the file.
NOT_JUST_PURGED = "(purged_at < now() - interval '2 minutes' OR purged_at > now() + interval '2 minutes')"
"""The latter was written before the database's clock was set back."""
PURGED_FILES = f"""
    SELECT id, purged_at, local_storage_path AS path, local_thumbnail_path AS thumbnail,
           retrieval_status = 'completed' AS was_home
      FROM photos
     WHERE {NOT_JUST_PURGED} AND local_storage_path IS NOT NULL AND (purged_at, id) > ($1, $2)
     ORDER BY purged_at, id LIMIT {BATCH}
"""
BEFORE_ALL = datetime(1970, 1, 1, tzinfo=UTC), UUID(int=0)
FORGET_FILES = """
    UPDATE photos SET local_storage_path = NULL, local_thumbnail_path = NULL
     WHERE id = ANY($1::uuid[]) AND purged_at IS NOT NULL
"""
RECORDED = "SELECT id FROM photos WHERE id = ANY($1::uuid[])"
HELD_CLAIMS = """
    SELECT retrieval_claim FROM photos WHERE retrieval_status = 'retrieving' AND retrieval_claim = ANY($1::uuid[])
"""


async def take_back(database: Database, storage: LocalStorage, *, expired_only: bool) -> int:
    """Takes leases back: their temporary files are removed first. All leases only while no worker runs."""
    async with database.connection() as connection:
        leases = await queue.leases(connection, expired_only=expired_only)
    if not leases:
        return 0
    await asyncio.to_thread(_remove_temporaries, storage, leases)
    taken = 0
    async with database.connection() as connection:
        for lease in leases:
            taken += await queue.take_back(connection, lease.claim, expired_only=expired_only)
    if taken:
        log.info("leases taken back", photos=taken)
    return taken


class Sweep:
    """For the supervisor, every minute. If the process before was killed, the first also walks the library for its
    temporary files; later ones try those again that could not be removed, as on a disk that was read-only. `under_way`
    has the tokens of the files that are being received."""

    def __init__(
        self,
        database: Database,
        storage: LocalStorage,
        bus: Bus,
        under_way: Collection[UUID] = (),
        undecided: float = UNDECIDED,
    ) -> None:
        self._under_way = under_way
        self._undecided = undecided
        self._database = database
        self._storage = storage
        self._bus = bus
        self._walk_before = time.time() if storage.leftovers.searched_at is None else None

    async def run(self) -> None:
        async with self._database.connection() as connection:
            await queue.cut_waits(connection)
        await take_back(self._database, self._storage, expired_only=True)
        self._bus.retrieval_due()
        await self._purged_files()
        await self._strays()

    async def _purged_files(self) -> None:
        """A purge removes the files itself; this finishes one that was cut short, and forgets the paths (trash). What
        cannot be removed is tried again by the next sweep, and keeps nothing else waiting."""
        behind = BEFORE_ALL
        while rows := await self._fetch(PURGED_FILES, *behind):
            removed = await asyncio.to_thread(_remove_purged, self._storage, rows)
            async with self._database.connection() as connection:
                await connection.execute(FORGET_FILES, removed)
            behind = rows[-1]["purged_at"], rows[-1]["id"]

    async def _strays(self) -> None:
        try:
            await asyncio.to_thread(self._storage.check_mounted)
        except OSError:
            return  # what is missing now may be there again with its disk
        leftovers = self._storage.leftovers
        await self._remove(leftovers.take())
        if self._walk_before is None and leftovers.have_overflowed():
            self._walk_before = time.time() - BEING_WRITTEN
        if (before := self._walk_before) is not None:
            leftovers.searched_at = None
            await self._remove(await asyncio.to_thread(lambda: list(self._storage.all_strays(before=before))))
            leftovers.searched_at, self._walk_before = before, None

    async def _remove(self, strays: Sequence[Stray]) -> None:
        """Removes temporary files whose claims nobody holds. Files that cannot be removed are remembered for the next
        sweep."""
        done = 0
        try:
            while some := strays[done : done + BATCH]:
                tokens = [stray.token for stray in some]
                held = {row["retrieval_claim"] for row in await self._fetch(HELD_CLAIMS, tokens)}
                held.update(self._under_way)
                free = [stray for stray in some if stray.token not in held]
                free = [*(stray for stray in free if _photo_of(stray) is None), *await self._decided(free)]
                await asyncio.to_thread(_unlink, self._storage, free)
                done += len(some)
        finally:
            for stray in strays[done:]:
                self._storage.leftovers.add(stray)

    async def _decided(self, strays: Sequence[Stray]) -> list[Stray]:
        """The marks of uploads that have a row, or no file any more: the files of those that have none are removed."""
        marks = {stray: photo for stray in strays if (photo := _photo_of(stray)) is not None}
        if not marks:
            return []
        marks = {mark: photo for mark, photo in marks.items() if mark.path.exists()}
        decided = time.time() - self._undecided
        later = {mark for mark in marks if last_written(mark.path) > decided}
        recorded = {row["id"] for row in await self._fetch(RECORDED, [marks[mark] for mark in marks.keys() - later])}
        without_row = [mark for mark, photo in marks.items() if mark not in later and photo not in recorded]
        later |= await asyncio.to_thread(_remove_unrecorded, self._storage, without_row)
        for mark in later:
            self._storage.leftovers.add(mark)
        return [mark for mark in marks if mark not in later]

    async def _fetch(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        """No connection is kept while threads are at work on files."""
        async with self._database.connection() as connection:
            return await connection.fetch(query, *arguments)


def _remove_temporaries(storage: LocalStorage, leases: Iterable[Lease]) -> None:
    for lease in leases:
        try:
            remove(storage, lease.path, lease.claim)
        except OSError as error:
            # Later sweeps remove it; that the photo is tried again matters more.
            log.warning("temporary file not removed", path=lease.path, reason=str(error))


def _remove_purged(storage: LocalStorage, rows: Sequence[asyncpg.Record]) -> list[UUID]:
    """Removes the files of purged photos, and returns those that have none any more."""
    # Where a file has its name, nothing was left half written; and looking for it means reading a whole folder.
    unfinished = [row for row in rows if not row["was_home"]]
    _unlink(storage, storage.strays(name for row in unfinished for name in _names(row)))
    return [row["id"] for row in rows if storage.unlink_all(_names(row))]


def _names(row: asyncpg.Record) -> set[str]:
    path, thumbnail = row["path"], row["thumbnail"]
    return {path, *renditions(path), thumbnail or path}


def _photo_of(mark: Stray) -> UUID | None:
    """The upload of a mark; None for any other temporary file."""
    name = PurePath(mark.final_name)
    if name.suffix != UNRECORDED:
        return None
    try:
        return UUID(PurePath(name.stem).stem)
    except ValueError:
        return None


def _remove_unrecorded(storage: LocalStorage, marks: Iterable[Stray]) -> set[Stray]:
    """Removes the files of uploads without a row, and returns the marks of those that could not be removed."""
    refused = set()
    for mark in marks:
        path = mark.path.with_name(PurePath(mark.final_name).stem).relative_to(storage.root).as_posix()
        if storage.unlink_all((path, *renditions(path))):
            log.info("upload without a row removed", path=path)
        else:
            refused.add(mark)
    return refused


def _unlink(storage: LocalStorage, strays: Iterable[Stray]) -> None:
    removed, refused, reason = 0, 0, ""
    for stray in strays:
        try:
            storage.remove_stray(stray)
            removed += 1
        except OSError as error:
            refused += 1
            reason = error.strerror or str(error)
    if removed:
        log.info("temporary files removed", files=removed)
    if refused:
        log.warning("temporary files not removed", files=refused, reason=reason)
