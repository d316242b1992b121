"""Emptying the trash (rule 11)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from uuid import UUID

import asyncpg
import msgspec
import structlog

from service.database.engine import Connection, Database
from service.library.thumbnails import Thumbnails
from service.live.announce import Announcer
from service.live.many_changes import ManyChanges
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
# The owner's words and InvokeAI's metadata go with the file. What stays says only: it was, and is not wanted again.
PURGE = """
    UPDATE photos SET purged_at = now(),
           retrieval_status = CASE retrieval_status WHEN 'completed' THEN 'completed' ELSE 'gone' END,
           retrieval_claim = NULL, retrieval_lease_until = NULL, next_retrieval_attempt = NULL,
           sha256 = NULL, thumbhash = NULL, caption = NULL, tags = '{}', filename = coalesce(invoke_id, ''),
           generation_prompt = NULL, generation_negative_prompt = NULL, generation_params = NULL,
           source_text = NULL
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
FORGET_SOURCES = "DELETE FROM photo_sources WHERE photo_id = ANY($1::uuid[])"
LEAVE_ALBUMS = "DELETE FROM album_photo WHERE photo_id = ANY($1::uuid[]) RETURNING album_id"
UNCOVER = "UPDATE albums SET cover_photo_id = NULL WHERE cover_photo_id = ANY($1::uuid[]) RETURNING id"
# No tombstone is needed for what nothing would bring back and nothing points to.
DELETE = """
    DELETE FROM photos p WHERE id = ANY($1::uuid[]) AND purged_at IS NOT NULL AND invoke_id IS NULL
       AND NOT EXISTS (SELECT FROM photos child WHERE child.source_image_id = p.id)
       AND NOT EXISTS (SELECT FROM photo_sources child WHERE child.source_photo_id = p.id)
       AND NOT EXISTS (SELECT FROM generation_steps s WHERE s.source_photo_id = p.id)
       AND NOT EXISTS (SELECT FROM backend_uploads u WHERE u.photo_id = p.id)
"""


class Purged(msgspec.Struct, frozen=True):
    """What one transaction made into tombstones, and whom it concerns."""

    photos: list[UUID]
    files: dict[UUID, set[str]]
    steps: list[UUID]
    albums: set[UUID]


class Trash:
    """The one who purges."""

    def __init__(self, database: Database, storage: LocalStorage, thumbnails: Thumbnails, announcer: Announcer) -> None:
        self._database = database
        self._storage = storage
        self._thumbnails = thumbnails
        self._announcer = announcer

    async def empty(self) -> int:
        """Purges what is in the trash by now; returns how many."""
        before = await self._days_ago(0)
        async with self._database.connection() as connection:
            total = await connection.fetchval(COUNT, before)
        return await self._purge_before(before, ManyChanges(self._announcer, "purge", total))

    async def empty_older_than(self, days: float) -> int:
        """Purges what has been in the trash for longer than that (periodic)."""
        purged = await self._purge_before(await self._days_ago(days), ManyChanges(self._announcer, None))
        if purged:
            log.info("trash emptied", photos=purged, older_than_days=days)
        return purged

    async def purge(self, photo_ids: Sequence[UUID], changes: ManyChanges) -> None:
        """Purges those of them that are in the trash; at most AT_ONCE. Tells it to `changes`, which the caller ends."""
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
            # After the commit: what stays here, retrieval's sweep finds by its tombstone.
            removed = await asyncio.to_thread(self._remove, purged.files)
        finally:
            self._thumbnails.drop(purged.photos)
            changes.went_on(looked_at, purged.photos, removed=True)
            if purged.photos:
                self._announcer.steps_updated(purged.steps)
                self._announcer.albums_updated(purged.albums)
                self._announcer.ledger_changed()
        async with self._database.connection() as connection:
            await connection.execute(DELETE, removed)

    def _remove(self, files: dict[UUID, set[str]]) -> list[UUID]:
        """The photos of which nothing is left."""
        return [photo for photo, names in files.items() if self._storage.unlink_all(names)]


async def _make_tombstones(connection: Connection, candidates: Sequence[UUID], before: datetime | None) -> Purged:
    """Of the candidates that are in the trash, and with `before` have been there since earlier."""
    steps = await connection.fetch(LOCK_STEPS, candidates)
    rows = await connection.fetch(PURGE, candidates, before)
    photos = [row["id"] for row in rows]
    await connection.execute(UNSELECT, photos, [step["id"] for step in steps])
    await connection.execute(FORGET_SOURCES, photos)
    albums = {row["album_id"] for row in await connection.fetch(LEAVE_ALBUMS, photos)}
    albums |= {row["id"] for row in await connection.fetch(UNCOVER, photos)}
    files = {row["id"]: _files(row) for row in rows}
    for photo, names in sorted((await _other_names(connection, photos, steps)).items()):
        # Should we be killed before they are removed.
        await moves.note(connection, photo, names)
        files[photo] |= {file for name in names for file in (name, *renditions(name))}
    return Purged(photos, files, [step["id"] for step in steps], albums)


async def _other_names(
    connection: Connection, photos: Sequence[UUID], steps: Sequence[asyncpg.Record]
) -> dict[UUID, set[str]]:
    """Of those that are a step's selection, or on the way from one name to another (rule 13)."""
    names = {row["photo_id"]: set(row["names"]) for row in await connection.fetch(MOVING, photos)}
    for step in steps:
        photo, selected_at = step["selected_image_id"], step["selected_at"]
        if photo in photos and selected_at is not None:
            names.setdefault(photo, set()).add(completed_path(selected_at, photo))
    return names


def _files(row: asyncpg.Record) -> set[str]:
    path, thumbnail = row["local_storage_path"], row["local_thumbnail_path"]
    return {name for name in (path, thumbnail, *(renditions(path) if path else ())) if name}
