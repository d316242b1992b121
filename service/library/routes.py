"""REST routes of photos: lists, one photo, changes, the trash, retrieval."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

import msgspec
from litestar import Request, Response, delete, get, patch, post
from litestar.di import NamedDependency, Provide
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, JSONBody

from service.api.error_answers import failures
from service.api.resources import Photo
from service.bus.bus import Bus
from service.database.engine import Database
from service.errors import Conflict, ValidationError
from service.library import changes
from service.library.albums import albums_of
from service.library.changes import PhotoPatch
from service.library.files import Waiting
from service.library.filters import PhotoFilters
from service.library.queries import Page, PhotoList, list_photos, photo_by_id
from service.library.thumbnails import Thumbnails
from service.library.trash import Trash
from service.photos import retries
from service.photos.integrity import Integrity
from service.photos.photo_file import PhotoFile, no_such_photo, photo_file

TAGS: Final = ["photos"]
WHOLE: Final = ResponseSpec(Waiting, generate_examples=False, description="Home again: the lost file was put back")
FAR: Final = 10_000
"""An offset from which a page costs more than a search."""
KNOWN_PARAMETERS: Final = {*PhotoFilters.__struct_fields__, *Page.__struct_fields__}


class Changed(msgspec.Struct, frozen=True):
    changed: int


def _known_parameters_only(request: Request[Any, Any, Any]) -> None:
    """Refuses unknown parameters: a misspelt filter would show everything."""
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
    """List photos of the library, or of the trash with `trashed`. A cursor is equally fast at any depth, and belongs to
    its filters and order."""
    _known_parameters_only(request)
    takes_long = filters.may_take_long or (page.offset or 0) > FAR
    async with database.costly_connection() if takes_long else database.connection() as connection:
        return await list_photos(connection, filters, page, thumbnails)


@get("/api/v1/photos/{photo_id:uuid}", operation_id="get_photo", tags=TAGS)
async def get_photo(photo_id: FromPath[UUID], database: NamedDependency[Database]) -> Photo:
    """Get one photo with all of its metadata, in the trash or not. Its bytes are at `url`."""
    return await _photo(database, photo_id)


@patch("/api/v1/photos/{photo_id:uuid}", operation_id="update_photo", tags=TAGS)
async def update_photo(
    photo_id: FromPath[UUID],
    data: JSONBody[PhotoPatch],
    database: NamedDependency[Database],
    bus: NamedDependency[Bus],
) -> Photo:
    """Change the fields that are given."""
    async with database.connection() as connection:
        if await changes.patch(connection, photo_id, data):
            bus.changed("photo.updated", [photo_id])
    return await _photo(database, photo_id)


@delete("/api/v1/photos/{photo_id:uuid}", operation_id="trash_photo", tags=TAGS)
async def trash_photo(photo_id: FromPath[UUID], database: NamedDependency[Database], bus: NamedDependency[Bus]) -> None:
    """Move to trash. Idempotent."""
    async with database.connection() as connection:
        if await changes.trash(connection, photo_id):
            bus.changed("photo.updated", [photo_id])
            bus.changed("album.updated", await albums_of(connection, [photo_id]))


@post("/api/v1/photos/{photo_id:uuid}/restore", operation_id="restore_photo", status_code=200, tags=TAGS)
async def restore_photo(
    photo_id: FromPath[UUID], database: NamedDependency[Database], bus: NamedDependency[Bus]
) -> Photo:
    """Move out of the trash. Idempotent."""
    async with database.connection() as connection:
        if await changes.restore(connection, photo_id):
            bus.changed("photo.updated", [photo_id])
            bus.changed("album.updated", await albums_of(connection, [photo_id]))
    return await _photo(database, photo_id)


@delete("/api/v1/photos/trash", operation_id="empty_trash", status_code=200, tags=TAGS)
async def empty_trash(trash: NamedDependency[Trash]) -> Changed:
    """Empty the trash: delete the files for good. The images are never retrieved again."""
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
    bus: NamedDependency[Bus],
    integrity: NamedDependency[Integrity],
) -> Response[Waiting]:
    """Retrieve a photo now, with all attempts again. The file of a photo that is home is read first: 409 if its size
    and checksum are right, else it is fetched again. 200 if the lost file was put back, or was under another of the
    photo's names: it is home again. 409 if there is no server to fetch it from."""
    photo = await photo_file(database, photo_id)
    if await _is_whole(integrity, photo):
        if photo.retrieval_status == "completed":
            raise Conflict("this photo is home, and its file is whole")
        photo = await photo_file(database, photo_id)
        return Response(Waiting(photo.retrieval_status, photo.retrieval_attempts), status_code=200)
    async with database.connection() as connection:
        retried = photo.retrieval_status != "completed" and await retries.retry(connection, photo_id)
    photo = await photo_file(database, photo_id)
    if retried:
        bus.retrieval_due()
        bus.changed("photo.updated", [photo_id])
        bus.ledger_changed()
    elif photo.retrieval_status in ("failed", "gone"):
        raise Conflict("there is no server to fetch this photo from", {"retrieval_error": photo.retrieval_error})
    status = 200 if photo.retrieval_status == "completed" else 202
    return Response(Waiting(photo.retrieval_status, photo.retrieval_attempts), status_code=status)


async def _is_whole(integrity: Integrity, photo: PhotoFile) -> bool:
    """Whether the photo's file is whole. If it is not, though its row says so, the row is changed."""
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
        photo = await photo_by_id(connection, photo_id)
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
