"""Photos: lists, one, what the owner changes, the trash."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

import msgspec
from litestar import Request, Response, delete, get, patch, post
from litestar.di import NamedDependency, Provide
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, JSONBody

from service.database.engine import Database
from service.error_responses import failures
from service.errors import Conflict, ValidationError
from service.library import changes
from service.library.albums import albums_of
from service.library.changes import PhotoPatch, no_such_photo
from service.library.files import Stored, Waiting, stored
from service.library.filters import PhotoFilters
from service.library.integrity import Integrity
from service.library.queries import Page, PhotoList, list_photos, photos_by_ids
from service.library.thumbnails import Thumbnails
from service.library.trash import Trash
from service.live.announce import Announcer
from service.live.messages import Photo
from service.retrieval import queue
from service.retrieval.worker import Retrieval

TAGS: Final = ["photos"]
WHOLE: Final = ResponseSpec(Waiting, generate_examples=False, description="Home again: its lost file was put back")
KNOWN_PARAMETERS: Final = {*PhotoFilters.__struct_fields__, *Page.__struct_fields__}


class Changed(msgspec.Struct, frozen=True):
    changed: int


def _known_parameters_only(request: Request[Any, Any, Any]) -> None:
    """A misspelt filter would otherwise show everything, as if it had matched."""
    unknown = sorted(set(request.query_params) - KNOWN_PARAMETERS)
    if unknown:
        raise ValidationError(f"{unknown[0]}: there is no such filter", {"known": sorted(KNOWN_PARAMETERS)})


@get(
    "/api/v1/photos",
    operation_id="list_photos",
    tags=TAGS,
    responses=failures(400),
    dependencies={
        "filters": Provide(PhotoFilters, sync_to_thread=False),
        "page": Provide(Page, sync_to_thread=False),
    },
)
async def get_photos(
    request: Request[Any, Any, Any],
    filters: NamedDependency[PhotoFilters],
    page: NamedDependency[Page],
    database: NamedDependency[Database],
    thumbnails: NamedDependency[Thumbnails],
) -> PhotoList:
    """A page of the library, or with `trashed` of the trash. Cursors are flat at any depth, and good for the same
    filters and order only."""
    _known_parameters_only(request)
    async with database.connection() as connection:
        return await list_photos(connection, filters, page, thumbnails)


@get("/api/v1/photos/{photo_id:uuid}", operation_id="get_photo", tags=TAGS)
async def get_photo(photo_id: FromPath[UUID], database: NamedDependency[Database]) -> Photo:
    """One photo, in the trash or not; its bytes are at `url`."""
    return await _photo(database, photo_id)


@patch("/api/v1/photos/{photo_id:uuid}", operation_id="update_photo", tags=TAGS)
async def update_photo(
    photo_id: FromPath[UUID],
    data: JSONBody[PhotoPatch],
    database: NamedDependency[Database],
    announcer: NamedDependency[Announcer],
) -> Photo:
    """Change what is given."""
    async with database.connection() as connection:
        if await changes.patch(connection, photo_id, data):
            announcer.photos_updated([photo_id])
    return await _photo(database, photo_id)


@delete("/api/v1/photos/{photo_id:uuid}", operation_id="trash_photo", tags=TAGS)
async def trash_photo(
    photo_id: FromPath[UUID], database: NamedDependency[Database], announcer: NamedDependency[Announcer]
) -> None:
    """Into the trash, whence it can be restored; there already: fine."""
    async with database.connection() as connection:
        if await changes.trash(connection, photo_id):
            announcer.photos_updated([photo_id])
            announcer.albums_updated(await albums_of(connection, [photo_id]))


@post("/api/v1/photos/{photo_id:uuid}/restore", operation_id="restore_photo", status_code=200, tags=TAGS)
async def restore_photo(
    photo_id: FromPath[UUID], database: NamedDependency[Database], announcer: NamedDependency[Announcer]
) -> Photo:
    """Out of the trash; not in it: fine."""
    async with database.connection() as connection:
        if await changes.restore(connection, photo_id):
            announcer.photos_updated([photo_id])
            announcer.albums_updated(await albums_of(connection, [photo_id]))
    return await _photo(database, photo_id)


@delete("/api/v1/photos/trash", operation_id="empty_trash", status_code=200, tags=TAGS)
async def empty_trash(trash: NamedDependency[Trash]) -> Changed:
    """Purge what is in the trash: the files go, for good, and none of it is ever retrieved again."""
    return Changed(await trash.empty())


@post(
    "/api/v1/photos/{photo_id:uuid}/retrieval",
    operation_id="retry_retrieval",
    status_code=202,
    tags=TAGS,
    responses={200: WHOLE, **failures(409, 503)},
)
async def retry_retrieval(
    photo_id: FromPath[UUID],
    database: NamedDependency[Database],
    retrieval: NamedDependency[Retrieval],
    announcer: NamedDependency[Announcer],
    integrity: NamedDependency[Integrity],
) -> Response[Waiting]:
    """Fetch it now, with all attempts before it again. The file of a photo that is home is read first: where its size
    and checksum are those that came, 409; else it is fetched again. 200 for a photo whose lost file was put back, or
    which had it under another of its names: it is home again. 409 where there is no server to fetch it from."""
    photo = await stored(database, photo_id)
    if await _is_whole(integrity, photo):
        if photo.retrieval_status == "completed":
            raise Conflict("this photo is home, and its file is whole")
        photo = await stored(database, photo_id)
        return Response(Waiting(photo.retrieval_status, photo.retrieval_attempts), status_code=200)
    async with database.connection() as connection:
        retried = photo.retrieval_status != "completed" and await queue.retry(connection, photo_id)
    photo = await stored(database, photo_id)
    if retried:
        retrieval.wake()
        announcer.photos_updated([photo_id])
        announcer.ledger_changed()
    elif photo.retrieval_status in ("failed", "gone"):
        raise Conflict("there is no server to fetch this photo from", {"retrieval_error": photo.retrieval_error})
    status = 200 if photo.retrieval_status == "completed" else 202
    return Response(Waiting(photo.retrieval_status, photo.retrieval_attempts), status_code=status)


async def _is_whole(integrity: Integrity, photo: Stored) -> bool:
    """Whether the photo is home by what its file says. One that is not, though its row says so, is so no longer."""
    path, sha256 = photo.local_storage_path, photo.sha256
    if path is None or sha256 is None:
        return False
    if photo.retrieval_status != "completed":
        return await integrity.found_again(photo.id, path, sha256)
    fault = (await integrity.check(path, photo.file_size, sha256)).fault
    if fault is not None:
        await integrity.lost(photo.id, path, sha256, fault, next_in_line=True)
    return fault is None


async def _photo(database: Database, photo_id: UUID) -> Photo:
    async with database.connection() as connection:
        photo = (await photos_by_ids(connection, [photo_id])).get(photo_id)
    if photo is None:
        raise no_such_photo()
    return photo


routes = [
    get_photos,
    get_photo,
    update_photo,
    trash_photo,
    restore_photo,
    empty_trash,
    retry_retrieval,
]
