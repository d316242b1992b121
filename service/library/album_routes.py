"""Albums over REST (api.md). Changes are committed first, then told to browsers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Final
from uuid import UUID, uuid4

import msgspec
from litestar import delete, get, patch, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from service.database.engine import Connection, Database
from service.errors import ValidationError
from service.json_schema import MINIMUM_ZERO
from service.library import album_photos, albums
from service.library.album_photos import AllMembers, Members, Move
from service.library.albums import AlbumCreate, AlbumList, AlbumPatch
from service.live.announce import Announcer
from service.live.many_changes import ManyChanges
from service.live.messages import Album

TAGS: Final = ["albums"]
Limit = Annotated[int, QueryParameter(ge=1, le=200)]
Offset = Annotated[int | None, QueryParameter(ge=0, le=2**31, schema_extra=MINIMUM_ZERO)]


class Deleted(msgspec.Struct, frozen=True):
    undo: UUID
    """For `POST /undo/{undo}`, which brings the album back as it was."""


@get("/api/v1/albums", operation_id="list_albums", tags=TAGS)
async def list_albums(
    database: NamedDependency[Database],
    limit: Limit = 50,
    offset: Offset = None,
    cursor: FromQuery[str | None] = None,
    count: FromQuery[bool] = True,
) -> AlbumList:
    """The latest changed first."""
    if cursor is not None and offset is not None:
        raise ValidationError("cursor and offset: one or the other")
    async with database.connection() as connection:
        return await albums.list_albums(connection, limit=limit, offset=offset or 0, cursor=cursor, count=count)


@post("/api/v1/albums", operation_id="create_album", status_code=201, tags=TAGS)
async def create_album(
    data: JSONBody[AlbumCreate], database: NamedDependency[Database], announcer: NamedDependency[Announcer]
) -> Album:
    """An empty album. Several may have the same name."""
    async with database.transaction() as connection:
        album_id = await albums.create(connection, data)
    announcer.albums_updated([album_id])
    return await _album(database, album_id)


@get("/api/v1/albums/{album_id:uuid}", operation_id="get_album", tags=TAGS)
async def get_album(album_id: FromPath[UUID], database: NamedDependency[Database]) -> Album:
    """One album. Its photos: `GET /photos?album_id=…&order=position`."""
    return await _album(database, album_id)


@patch("/api/v1/albums/{album_id:uuid}", operation_id="update_album", tags=TAGS)
async def update_album(
    album_id: FromPath[UUID],
    data: JSONBody[AlbumPatch],
    database: NamedDependency[Database],
    announcer: NamedDependency[Announcer],
) -> Album:
    """Change what is given."""
    if await database.repeated(partial(albums.patch, album_id=album_id, wanted=data)):
        announcer.albums_updated([album_id])
    return await _album(database, album_id)


@delete("/api/v1/albums/{album_id:uuid}", operation_id="delete_album", status_code=200, tags=TAGS)
async def delete_album(
    album_id: FromPath[UUID], database: NamedDependency[Database], announcer: NamedDependency[Announcer]
) -> Deleted:
    """Delete the album. Its photos stay in the library. It can be undone for a day."""
    undo = uuid4()
    async with database.transaction() as connection:
        await albums.delete(connection, album_id, undo)
    announcer.albums_removed([album_id])
    return Deleted(undo)


@post("/api/v1/albums/{album_id:uuid}/photos", operation_id="add_to_album", status_code=200, tags=TAGS)
async def add_photos(
    album_id: FromPath[UUID],
    data: JSONBody[Members],
    database: NamedDependency[Database],
    announcer: NamedDependency[Announcer],
) -> Album:
    """Append photos in this order. Those that are in the album already stay where they are."""

    async def append(connection: Connection) -> Sequence[UUID]:
        await album_photos.require_photos(connection, data.photo_ids)
        added, _ = await album_photos.add(connection, album_id, data.photo_ids)
        return added

    _tell(announcer, album_id, await database.repeated(append))
    return await _album(database, album_id)


@put("/api/v1/albums/{album_id:uuid}/photos", operation_id="replace_album_photos", tags=TAGS)
async def replace_photos(
    album_id: FromPath[UUID],
    data: JSONBody[AllMembers],
    database: NamedDependency[Database],
    announcer: NamedDependency[Announcer],
) -> Album:
    """Show these photos in this order, and no others. Photos of the album that are in the trash stay in it, behind
    those that they stood behind. With `seen_at`, so do photos that were added since, at the end."""
    replaced = await database.repeated(partial(album_photos.replace, album_id=album_id, wanted=data))
    if replaced.is_changed:
        announcer.albums_updated([album_id])
    _tell(announcer, album_id, [*replaced.added, *replaced.removed])
    return await _album(database, album_id)


@patch("/api/v1/albums/{album_id:uuid}/photos", operation_id="move_album_photos", tags=TAGS)
async def move_photos(
    album_id: FromPath[UUID],
    data: JSONBody[Move],
    database: NamedDependency[Database],
    announcer: NamedDependency[Announcer],
) -> Album:
    """Move photos of the album before another one of it, or to its end. Those that are not in it are left alone."""
    if await database.repeated(partial(album_photos.move, album_id=album_id, wanted=data)):
        announcer.albums_updated([album_id])
    return await _album(database, album_id)


@delete("/api/v1/albums/{album_id:uuid}/photos", operation_id="remove_from_album", status_code=200, tags=TAGS)
async def remove_photos(
    album_id: FromPath[UUID],
    data: JSONBody[Members],
    database: NamedDependency[Database],
    announcer: NamedDependency[Announcer],
) -> Album:
    """Take photos out of the album; they stay in the library. Those that are not in it are left alone."""
    removed = await database.repeated(partial(album_photos.remove, album_id=album_id, photo_ids=data.photo_ids))
    _tell(announcer, album_id, list(removed))
    return await _album(database, album_id)


def _tell(announcer: Announcer, album_id: UUID, photos: Sequence[UUID]) -> None:
    """These photos are in the album now, or no longer."""
    if not photos:
        return
    changes = ManyChanges(announcer, None, len(photos))
    changes.went_on(len(photos), photos)
    changes.end()
    announcer.albums_updated([album_id])


async def _album(database: Database, album_id: UUID) -> Album:
    async with database.connection() as connection:
        return await albums.one_album(connection, album_id)


routes = [
    list_albums,
    create_album,
    get_album,
    update_album,
    delete_album,
    add_photos,
    replace_photos,
    move_photos,
    remove_photos,
]
