"""REST routes of albums (api.md). Changes are committed first, then published on the bus."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Final
from uuid import UUID, uuid4

import msgspec
from litestar import delete, get, patch, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from service.api.resources import Album
from service.bus.bus import Bus
from service.database.engine import Connection, Database
from service.errors import ValidationError
from service.library import album_photos, albums
from service.library.album_photos import AllMembers, Members, Move
from service.library.albums import AlbumCreate, AlbumList, AlbumPatch
from service.library.many_changes import ManyChanges
from service.runtime.json_schema import MINIMUM_ZERO

TAGS: Final = ["albums"]
Limit = Annotated[int, QueryParameter(ge=1, le=200)]
Offset = Annotated[int | None, QueryParameter(ge=0, le=2**31, schema_extra=MINIMUM_ZERO)]


class Deleted(msgspec.Struct, frozen=True):
    undo: UUID
    """For `POST /undo/{undo}`, which restores the album as it was."""


@get("/api/v1/albums", operation_id="list_albums", tags=TAGS)
async def list_albums(
    database: NamedDependency[Database],
    limit: Limit = 50,
    offset: Offset = None,
    cursor: FromQuery[str | None] = None,
    count: FromQuery[bool] = True,
) -> AlbumList:
    """List albums, the latest changed first."""
    if cursor is not None and offset is not None:
        raise ValidationError("cursor and offset: one or the other")
    async with database.connection() as connection:
        return await albums.list_albums(connection, limit=limit, offset=offset or 0, cursor=cursor, count=count)


@post("/api/v1/albums", operation_id="create_album", status_code=201, tags=TAGS)
async def create_album(
    data: JSONBody[AlbumCreate], database: NamedDependency[Database], bus: NamedDependency[Bus]
) -> Album:
    """Create an empty album. Several albums may have the same name."""
    async with database.transaction() as connection:
        album_id = await albums.create(connection, data)
    bus.changed("album.updated", [album_id])
    return await _album(database, album_id)


@get("/api/v1/albums/{album_id:uuid}", operation_id="get_album", tags=TAGS)
async def get_album(album_id: FromPath[UUID], database: NamedDependency[Database]) -> Album:
    """Get one album. Its photos: `GET /photos?album_id=…&order=position`."""
    return await _album(database, album_id)


@patch("/api/v1/albums/{album_id:uuid}", operation_id="update_album", tags=TAGS)
async def update_album(
    album_id: FromPath[UUID],
    data: JSONBody[AlbumPatch],
    database: NamedDependency[Database],
    bus: NamedDependency[Bus],
) -> Album:
    """Change the fields that are given."""
    if await database.repeated(partial(albums.patch, album_id=album_id, wanted=data)):
        bus.changed("album.updated", [album_id])
    return await _album(database, album_id)


@delete("/api/v1/albums/{album_id:uuid}", operation_id="delete_album", status_code=200, tags=TAGS)
async def delete_album(
    album_id: FromPath[UUID], database: NamedDependency[Database], bus: NamedDependency[Bus]
) -> Deleted:
    """Delete an album. Its photos stay in the library. Undoable for a day."""
    undo = uuid4()
    async with database.transaction() as connection:
        await albums.delete(connection, album_id, undo)
    bus.changed("album.removed", [album_id])
    return Deleted(undo)


@post("/api/v1/albums/{album_id:uuid}/photos", operation_id="add_to_album", status_code=200, tags=TAGS)
async def add_photos(
    album_id: FromPath[UUID],
    data: JSONBody[Members],
    database: NamedDependency[Database],
    bus: NamedDependency[Bus],
) -> Album:
    """Append photos in this order. Photos that are in the album already keep their place."""

    async def append(connection: Connection) -> Sequence[UUID]:
        await album_photos.require_photos(connection, data.photo_ids)
        added, _ = await album_photos.add(connection, album_id, data.photo_ids)
        return added

    _tell(bus, album_id, await database.repeated(append))
    return await _album(database, album_id)


@put("/api/v1/albums/{album_id:uuid}/photos", operation_id="replace_album_photos", tags=TAGS)
async def replace_photos(
    album_id: FromPath[UUID],
    data: JSONBody[AllMembers],
    database: NamedDependency[Database],
    bus: NamedDependency[Bus],
) -> Album:
    """Replace the photos of an album: it shows these, in this order, and no others. Photos in the trash stay in it,
    after the photos that they followed. With `seen_at`, photos that were added after it stay too, at the end."""
    replaced = await database.repeated(partial(album_photos.replace, album_id=album_id, wanted=data))
    if replaced.is_changed:
        bus.changed("album.updated", [album_id])
    _tell(bus, album_id, [*replaced.added, *replaced.removed])
    return await _album(database, album_id)


@patch("/api/v1/albums/{album_id:uuid}/photos", operation_id="move_album_photos", tags=TAGS)
async def move_photos(
    album_id: FromPath[UUID],
    data: JSONBody[Move],
    database: NamedDependency[Database],
    bus: NamedDependency[Bus],
) -> Album:
    """Move photos of an album before another one, or to the end. Photos that are not in it are ignored."""
    if await database.repeated(partial(album_photos.move, album_id=album_id, wanted=data)):
        bus.changed("album.updated", [album_id])
    return await _album(database, album_id)


@delete("/api/v1/albums/{album_id:uuid}/photos", operation_id="remove_from_album", status_code=200, tags=TAGS)
async def remove_photos(
    album_id: FromPath[UUID],
    data: JSONBody[Members],
    database: NamedDependency[Database],
    bus: NamedDependency[Bus],
) -> Album:
    """Remove photos from an album. They stay in the library. Photos that are not in it are ignored."""
    removed = await database.repeated(partial(album_photos.remove, album_id=album_id, photo_ids=data.photo_ids))
    _tell(bus, album_id, list(removed))
    return await _album(database, album_id)


def _tell(bus: Bus, album_id: UUID, photos: Sequence[UUID]) -> None:
    """Publishes that these photos are in the album now, or no longer."""
    if not photos:
        return
    changes = ManyChanges(bus, None, len(photos))
    changes.went_on(len(photos), photos)
    changes.end()
    bus.changed("album.updated", [album_id])


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
