"""Purging photos of the trash (trash)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from uuid import UUID

import asyncpg
import msgspec
import structlog

from service.bus.bus import Bus
from service.database.engine import Connection, Database
from service.library.many_changes import ManyChanges
from service.media.layout import completed_path, renditions
from service.media.storage import LocalStorage
from service.selection import moves

log = structlog.get_logger()

AT_ONCE = 200

# By the clock that wrote `deleted_at`.
DAYS_AGO = "SELECT now() - $1::float8 * interval '1 day'"
OLDER = "FROM photos WHERE deleted_at < $1 AND deleted_at IS NOT NULL AND purged_at IS NULL"
COUNT = f"SELECT count(*) {OLDER}"
CANDIDATES = f"SELECT id {OLDER} ORDER BY id LIMIT $2"
LOCK_STEPS = """
    SELECT id, selected_image_id, selected_at FROM generation_steps
     WHERE id IN (SELECT step_id FROM step_alternatives WHERE photo_id = ANY($1::uuid[])) ORDER BY id FOR NO KEY UPDATE
"""
# The owner's texts and InvokeAI's metadata are deleted with the file. The tombstone only says: it existed, and is not
# wanted again.
PURGE = """
    UPDATE photos SET purged_at = now(),
           retrieval_status = CASE retrieval_status WHEN 'completed' THEN 'completed' ELSE 'gone' END,
           retrieval_claim = NULL, retrieval_lease_until = NULL, next_retrieval_attempt = NULL,
           sha256 = NULL, thumbhash = NULL, caption = NULL, tags = '{}', filename = coalesce(invoke_id, ''),
           generation_prompt = NULL, generation_negative_prompt = NULL, generation_params = NULL, params_summary = NULL,
           source_text = NULL, source_image_id = NULL
     WHERE id IN (SELECT id FROM photos WHERE id = ANY($1::uuid[]) AND purged_at IS NULL
                     AND deleted_at IS NOT NULL AND ($2::timestamptz IS NULL OR deleted_at < $2)
                   ORDER BY id FOR UPDATE)
    RETURNING id, local_storage_path, local_thumbnail_path
"""
UNSELECT = """
    UPDATE generation_steps SET selected_image_id = NULL, selected_at = NULL WHERE selected_image_id = ANY($1::uuid[])
       AND id = ANY($2::uuid[])
"""
MOVING = "SELECT photo_id, names FROM file_moves WHERE photo_id = ANY($1::uuid[])"
# In the order in which recording images links names.
FORGET_SOURCES = """
    DELETE FROM photo_sources WHERE (photo_id, image_name, role) IN (
        SELECT photo_id, image_name, role FROM photo_sources WHERE photo_id = ANY($1::uuid[])
         ORDER BY photo_id, image_name, role FOR UPDATE)
"""
LEAVE_ALBUMS = "DELETE FROM album_photo WHERE photo_id = ANY($1::uuid[]) RETURNING album_id"
UNCOVER = "UPDATE albums SET cover_photo_id = NULL WHERE cover_photo_id = ANY($1::uuid[]) RETURNING id"
# No tombstone is needed for a photo that nothing would fetch again and nothing points to.
DELETE = """
    DELETE FROM photos p WHERE id = ANY($1::uuid[]) AND purged_at IS NOT NULL AND invoke_id IS NULL
       AND NOT EXISTS (SELECT FROM photos child WHERE child.source_image_id = p.id)
       AND NOT EXISTS (SELECT FROM photo_sources child WHERE child.source_photo_id = p.id)
       AND NOT EXISTS (SELECT FROM generation_steps s WHERE s.source_photo_id = p.id)
       AND NOT EXISTS (SELECT FROM backend_uploads u WHERE u.photo_id = p.id)
"""


class Purged(msgspec.Struct, frozen=True):
    """The tombstones of one transaction, and the steps, sessions and albums that they concern."""

    photos: list[UUID]
    files: dict[UUID, set[str]]
    steps: list[UUID]
    albums: set[UUID]


class Trash:
    """Purges photos."""

    def __init__(self, database: Database, storage: LocalStorage, bus: Bus) -> None:
        self._database = database
        self._storage = storage
        self._bus = bus

    async def empty(self) -> int:
        """Purges all photos that are in the trash now, and returns how many."""
        before = await self._days_ago(0)
        async with self._database.connection() as connection:
            total = await connection.fetchval(COUNT, before)
        return await self._purge_before(before, ManyChanges(self._bus, "purge", total))

    async def empty_older_than(self, days: float) -> int:
        """Purges photos that have been in the trash for longer than that (periodic)."""
        purged = await self._purge_before(await self._days_ago(days), ManyChanges(self._bus, None))
        if purged:
            log.info("trash emptied", photos=purged, older_than_days=days)
        return purged

    async def purge(self, photo_ids: Sequence[UUID], changes: ManyChanges) -> None:
        """Purges those of the photos that are in the trash; at most AT_ONCE. Reports them to `changes`, which the
        caller ends."""
        purged = await self._database.repeated(partial(_make_tombstones, candidates=photo_ids, before=None))
        await self._finish(purged, changes, len(photo_ids))

    async def _days_ago(self, days: float) -> datetime:
        async with self._database.connection() as connection:
            moment: datetime = await connection.fetchval(DAYS_AGO, days)
        return moment

    async def _purge_before(self, before: datetime, changes: ManyChanges) -> int:
        try:
            while candidates := await self._candidates(before):
                purged = await self._database.repeated(partial(_make_tombstones, candidates=candidates, before=before))
                await self._finish(purged, changes, len(candidates))
        finally:
            changes.end()
        return changes.changed

    async def _candidates(self, before: datetime) -> list[UUID]:
        async with self._database.connection() as connection:
            return [row["id"] for row in await connection.fetch(CANDIDATES, before, AT_ONCE)]

    async def _finish(self, purged: Purged, changes: ManyChanges, looked_at: int) -> None:
        try:
            # After the commit: files that stay here are found by retrieval's sweep, by their tombstone.
            removed = await asyncio.to_thread(self._remove, purged.files)
        finally:
            self._bus.files_gone(purged.photos)
            changes.went_on(looked_at, purged.photos, removed=True)
            if purged.photos:
                self._bus.changed("step.updated", purged.steps)
                self._bus.changed("album.updated", purged.albums)
                self._bus.ledger_changed()
        async with self._database.connection() as connection:
            await connection.execute(DELETE, removed)

    def _remove(self, files: dict[UUID, set[str]]) -> list[UUID]:
        """Removes the files, and returns the photos of which nothing is left."""
        return [photo for photo, names in files.items() if self._storage.unlink_all(names)]


async def _make_tombstones(connection: Connection, candidates: Sequence[UUID], before: datetime | None) -> Purged:
    """Makes tombstones of the candidates that are in the trash, since before `before` if that is given."""
    steps = await connection.fetch(LOCK_STEPS, candidates)
    rows = await connection.fetch(PURGE, candidates, before)
    photos = [row["id"] for row in rows]
    await connection.execute(UNSELECT, photos, [step["id"] for step in steps])
    await connection.execute(FORGET_SOURCES, photos)
    albums = {row["album_id"] for row in await connection.fetch(LEAVE_ALBUMS, photos)}
    albums |= {row["id"] for row in await connection.fetch(UNCOVER, photos)}
    files = {row["id"]: _files(row) for row in rows}
    for photo, names in sorted((await _other_names(connection, photos, steps)).items()):
        # In case we are killed before they are removed.
        await moves.note(connection, photo, names)
        files[photo] |= {file for name in names for file in (name, *renditions(name))}
    return Purged(photos, files, [step["id"] for step in steps], albums)


async def _other_names(
    connection: Connection, photos: Sequence[UUID], steps: Sequence[asyncpg.Record]
) -> dict[UUID, set[str]]:
    """The names of photos that are a step's selection, or on the way from one name to another (safe selection)."""
    names = {row["photo_id"]: set(row["names"]) for row in await connection.fetch(MOVING, photos)}
    for step in steps:
        photo, selected_at = step["selected_image_id"], step["selected_at"]
        if photo in photos and selected_at is not None:
            names.setdefault(photo, set()).add(completed_path(selected_at, photo))
    return names


def _files(row: asyncpg.Record) -> set[str]:
    path, thumbnail = row["local_storage_path"], row["local_thumbnail_path"]
    return {name for name in (path, thumbnail, *(renditions(path) if path else ())) if name}
