"""Albums: reading them for the API, and creating, changing and deleting them. Their photos: `album_photos.py`."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from service.api.request_body import VISIBLE_LINE
from service.api.resources import Album
from service.bus.live_state import Resource
from service.database.engine import Connection, Database
from service.errors import NotFound, ValidationError
from service.library import cursor as cursors
from service.library.cursor import Position
from service.library.filters import storable
from service.library.sql import Arguments
from service.media.identity import new_id

MAX_NAME: Final = 200
DELETE_ALBUM: Final = "delete_album"
"""The action of an undo that restores a deleted album."""
SWEPT_AT_ONCE: Final = 5_000

Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME, pattern=VISIBLE_LINE)]
Description = Annotated[str, Meta(max_length=10_000)]

# The search for the cover of an album may pass many photos in the trash; the trash is emptied in time.
ALBUMS = """
    SELECT a.id, a.name, a.description, a.photo_count, a.created_at, a.updated_at,
           coalesce(
               (SELECT p.id FROM album_photo m JOIN photos p ON p.id = m.photo_id
                 WHERE m.album_id = a.id AND m.photo_id = a.cover_photo_id
                   AND p.deleted_at IS NULL AND p.purged_at IS NULL),
               (SELECT p.id FROM album_photo m JOIN photos p ON p.id = m.photo_id
                 WHERE m.album_id = a.id AND p.deleted_at IS NULL AND p.purged_at IS NULL
                 ORDER BY m.position, m.photo_id LIMIT 1)) AS cover_photo_id
      FROM albums a WHERE a.deleted_at IS NULL
"""
COUNT = "SELECT count(*) FROM albums WHERE deleted_at IS NULL"
CREATE = """
    INSERT INTO albums (id, name, description, created_at, updated_at)
    VALUES ($1, $2, $3, clock_timestamp(), clock_timestamp())
"""
# Every change of an album or of its photos locks its row, after the rows of photos (architecture.md, locks).
LOCK = """
    SELECT greatest(clock_timestamp(), updated_at + interval '1 microsecond') AS moment FROM albums
     WHERE id = $1 AND deleted_at IS NULL FOR NO KEY UPDATE
"""
TOUCH = "UPDATE albums SET updated_at = $2 WHERE id = $1"
# A purge takes the row of the photo first, then that of the album: so does a new cover.
HOLD_COVER = "SELECT FROM photos WHERE id = $1 AND deleted_at IS NULL AND purged_at IS NULL FOR KEY SHARE"
IS_MEMBER = "SELECT FROM album_photo WHERE album_id = $1 AND photo_id = $2"
DELETE = "UPDATE albums SET deleted_at = clock_timestamp() WHERE id = $1"
KEEP_UNDO = f"""
    INSERT INTO undo_batches (undo_id, number, action, value, made_at, photo_ids, former)
    VALUES ($1, 1, '{DELETE_ALBUM}', to_jsonb($2::text), clock_timestamp(), '{{}}', '{{}}')
"""
BRING_BACK = "UPDATE albums SET deleted_at = NULL WHERE id = $1 AND deleted_at IS NOT NULL RETURNING id"
PHOTOS = """
    SELECT m.photo_id FROM album_photo m JOIN photos p ON p.id = m.photo_id
     WHERE m.album_id = $1 AND p.deleted_at IS NULL AND p.purged_at IS NULL
"""
OF_PHOTOS = """
    SELECT DISTINCT m.album_id FROM album_photo m JOIN albums a ON a.id = m.album_id AND a.deleted_at IS NULL
     WHERE m.photo_id = ANY($1::uuid[])
"""
# By the clock that wrote `deleted_at`; longer than an undo is valid.
OLD = "SELECT id FROM albums WHERE deleted_at < now() - interval '25 hours' ORDER BY id"
SWEEP_PHOTOS = """
    DELETE FROM album_photo WHERE album_id = $1 AND photo_id IN (
        SELECT photo_id FROM album_photo WHERE album_id = $1 ORDER BY photo_id LIMIT $2)
"""
SWEEP = "DELETE FROM albums WHERE id = $1 AND deleted_at < now() - interval '25 hours'"


class AlbumCreate(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    name: Name
    description: Description | None = None


class AlbumPatch(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Fields that are left out stay as they are; null clears a description, or the choice of a cover."""

    name: Name | UnsetType = UNSET
    description: Description | UnsetType | None = UNSET
    cover_photo_id: UUID | UnsetType | None = UNSET
    """One of the album's photos."""


class AlbumList(Resource, frozen=True):
    items: list[Album]
    total: int | None
    """Null with a cursor or `count=false`."""
    limit: int
    offset: int | None
    next_cursor: str | None


class AlbumOrder(msgspec.Struct, frozen=True):
    """The list that a cursor of albums belongs to: there is one order and no filter."""

    order: str = "updated"


async def albums_by_ids(connection: Connection, ids: Iterable[UUID]) -> dict[UUID, Album]:
    """Albums that exist and are not deleted. Photos in the trash are not counted."""
    rows = await connection.fetch(f"{ALBUMS} AND a.id = ANY($1::uuid[])", list(ids))
    return {row["id"]: Album(**dict(row)) for row in rows}


async def one_album(connection: Connection, album_id: UUID) -> Album:
    """One album. Raises NotFound, for a deleted one too."""
    album = (await albums_by_ids(connection, [album_id])).get(album_id)
    if album is None:
        raise no_such_album()
    return album


async def list_albums(connection: Connection, *, limit: int, offset: int, cursor: str | None, count: bool) -> AlbumList:
    """A page of albums, the latest changed first."""
    after: list[Any] = []
    condition = ""
    if cursor is not None:
        position = cursors.decode(AlbumOrder(), cursor, datetime)
        after, condition = [position.key, position.id], "AND (a.updated_at, a.id) < ($3, $4)"
    query = f"{ALBUMS} {condition} ORDER BY a.updated_at DESC, a.id DESC LIMIT $1 OFFSET $2"
    rows = await connection.fetch(query, limit + 1, offset, *after)
    total = await connection.fetchval(COUNT) if cursor is None and count else None
    items = [Album(**dict(row)) for row in rows[:limit]]
    last = Position(items[-1].id, items[-1].updated_at.isoformat()) if len(rows) > limit else None
    return AlbumList(
        items=items,
        total=total,
        limit=limit,
        offset=None if cursor is not None else offset,
        next_cursor=cursors.encode(AlbumOrder(), last) if last is not None else None,
    )


async def albums_of(connection: Connection, photo_ids: Sequence[UUID]) -> list[UUID]:
    """The albums of any of these photos: their counts and covers change with them."""
    return [row["album_id"] for row in await connection.fetch(OF_PHOTOS, photo_ids)]


async def photos_in(connection: Connection, album_id: UUID) -> list[UUID]:
    """The photos that it shows."""
    return [row["photo_id"] for row in await connection.fetch(PHOTOS, album_id)]


async def lock(connection: Connection, album_id: UUID) -> datetime:
    """Locks the row until the transaction ends, and returns the time of the change. Raises NotFound."""
    moment: datetime | None = await connection.fetchval(LOCK, album_id)
    if moment is None:
        raise no_such_album()
    return moment


async def touch(connection: Connection, album_id: UUID, moment: datetime) -> None:
    """Writes the time of the change that `lock` gave."""
    await connection.execute(TOUCH, album_id, moment)


async def create(connection: Connection, wanted: AlbumCreate) -> UUID:
    """Creates an album. Raises ValidationError."""
    album_id = new_id()
    await connection.execute(CREATE, album_id, _name(wanted.name), _description(wanted.description))
    return album_id


async def patch(connection: Connection, album_id: UUID, wanted: AlbumPatch) -> bool:
    """Changes an album in the caller's transaction; False if nothing is different now. Raises ValidationError and
    NotFound."""
    values: dict[str, Any] = {}
    if wanted.name is not UNSET:
        values["name"] = _name(wanted.name)
    if wanted.description is not UNSET:
        values["description"] = _description(wanted.description)
    cover = wanted.cover_photo_id
    if cover is not UNSET:
        values["cover_photo_id"] = cover
        is_there = cover is None or await connection.fetchrow(HOLD_COVER, cover) is not None
    moment = await lock(connection, album_id)
    if isinstance(cover, UUID) and not (is_there and await connection.fetchrow(IS_MEMBER, album_id, cover) is not None):
        raise ValidationError("cover_photo_id: not a photo of this album")
    if not values:
        return False
    arguments = Arguments()
    identity = arguments.add(album_id)
    given = [(name, arguments.add(value)) for name, value in values.items()]
    moved = arguments.add(moment)
    sets = ", ".join(f"{name} = {value}" for name, value in given)
    differs = " OR ".join(f"{name} IS DISTINCT FROM {value}" for name, value in given)
    sql = f"UPDATE albums SET {sets}, updated_at = {moved} WHERE id = {identity} AND ({differs}) RETURNING id"
    return await connection.fetchrow(sql, *arguments.values) is not None


async def delete(connection: Connection, album_id: UUID, undo: UUID) -> None:
    """Deletes an album in the caller's transaction. Its photos stay where they are. Raises NotFound."""
    await lock(connection, album_id)
    await connection.execute(DELETE, album_id)
    await connection.execute(KEEP_UNDO, undo, str(album_id))


async def bring_back(connection: Connection, album_id: UUID) -> bool:
    """Undoes a deletion. False if the album is gone for good."""
    return await connection.fetchrow(BRING_BACK, album_id) is not None


async def sweep(database: Database) -> None:
    """Removes albums that were deleted more than a day ago (periodic)."""
    async with database.connection() as connection:
        for row in await connection.fetch(OLD):
            while await connection.execute(SWEEP_PHOTOS, row["id"], SWEPT_AT_ONCE) != "DELETE 0":
                pass
            await connection.execute(SWEEP, row["id"])


def no_such_album() -> NotFound:
    return NotFound("there is no such album")


def _name(given: str) -> str:
    name = unicodedata.normalize("NFC", given).strip()
    if not 1 <= len(name) <= MAX_NAME or not storable(name):
        raise ValidationError(f"name: must be text of 1 to {MAX_NAME} characters")
    return name


def _description(given: str | None) -> str | None:
    """The description; None for a blank one."""
    if given is not None and not storable(given):
        raise ValidationError("description: must be text")
    return unicodedata.normalize("NFC", given).strip() or None if given is not None else None
