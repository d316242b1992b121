"""REST routes of a photo's files: the original and its renditions."""

from __future__ import annotations

from typing import Annotated, Any, Final
from uuid import UUID

from litestar import HttpMethod, Request, Response, route
from litestar.di import NamedDependency
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, QueryParameter

from service.api.error_answers import failures
from service.api.openapi import READING, operation_ids
from service.bus.bus import Bus
from service.database.engine import Database
from service.library import files
from service.library.conditional import (
    IMMUTABLE,
    ByteRange,
    Unsatisfiable,
    content_disposition,
    is_fresh,
    wanted_range,
)
from service.library.files import BytesResponse, FileResponse, Waiting
from service.library.thumbnail_source import NotYet, ThumbnailSource
from service.library.thumbnails import RenditionSize
from service.media.storage import LocalStorage
from service.photos.integrity import Integrity
from service.photos.photo_file import PhotoFile, photo_file
from service.photos.retries import move_to_front

TAGS: Final = ["photos"]
PICTURE: Final = "image/*"
"""PNG if InvokeAI made it, else the uploaded format."""
WEBP: Final = "image/webp"

NOT_HOME: Final = ResponseSpec(Waiting, generate_examples=False, description="Not home yet; see Retry-After")
PART: Final = ResponseSpec(Any, generate_examples=False, description="The requested range", media_type=PICTURE)
UNCHANGED: Final = ResponseSpec(None, description="Not modified: If-None-Match names the present bytes")


@route(
    "/api/v1/photos/{photo_id:uuid}/file",
    http_method=READING,
    operation_id=operation_ids("get_photo_file"),
    tags=TAGS,
    responses={202: NOT_HOME, 206: PART, 304: UNCHANGED, **failures(416, 503)},
    media_type=PICTURE,
)
async def get_photo_file(
    photo_id: FromPath[UUID],
    request: Request[Any, Any, Any],
    database: NamedDependency[Database],
    storage: NamedDependency[LocalStorage],
    bus: NamedDependency[Bus],
    integrity: NamedDependency[Integrity],
    download: Annotated[str | None, QueryParameter(description="If present, the file is sent as an attachment")] = None,
) -> Response[Any]:
    """Get the original file, byte for byte. 202 while it waits for retrieval; it becomes the next in line. A photo
    whose file is missing or has another length waits again in the same way; 404 if no server can be asked for it."""
    photo = await photo_file(database, photo_id)
    files.require_retrievable(photo)
    if photo.retrieval_status != "completed":
        if request.method == HttpMethod.GET:
            await _hurry(database, bus, photo)
        return files.not_yet(request, photo)
    if is_fresh(request.headers.get("if-none-match"), _etag(photo)):
        headers = _file_headers(photo, download)
        return Response(b"", status_code=304, headers=headers, media_type=photo.mime_type)
    opened = await files.open_original(database, storage, integrity, photo)
    if isinstance(opened, PhotoFile):
        return files.not_yet(request, opened)
    photo, file = opened
    size, headers = photo.file_size or 0, _file_headers(photo, download)
    try:
        part = wanted_range(request.headers, _etag(photo), size) if request.method == HttpMethod.GET else None
    except Unsatisfiable:
        file.close()
        return files.unsatisfiable(size)
    except BaseException:
        file.close()
        raise
    if part is None:
        return FileResponse(file, ByteRange(0, size), status_code=200, media_type=photo.mime_type, headers=headers)
    headers["Content-Range"] = f"bytes {part.start}-{part.end - 1}/{size}"
    return FileResponse(file, part, status_code=206, media_type=photo.mime_type, headers=headers)


@route(
    "/api/v1/photos/{photo_id:uuid}/thumbnail",
    http_method=READING,
    operation_id=operation_ids("get_photo_thumbnail"),
    tags=TAGS,
    responses={202: NOT_HOME, 304: UNCHANGED, **failures(503)},
    media_type=WEBP,
)
async def get_photo_thumbnail(
    photo_id: FromPath[UUID],
    request: Request[Any, Any, Any],
    thumbnail_source: NamedDependency[ThumbnailSource],
    size: Annotated[RenditionSize, QueryParameter(description="`large`: about 1080 pixels")] = "small",
) -> Response[Any]:
    """Get a rendition as WebP. `small` has 360 pixels at its long side (300 in photos of the first release), `large`
    1080. Nothing is enlarged: for a photo without a large one, the small one is sent. `?v=` only makes the address new.
    A missing rendition is made. 202 while the photo waits for retrieval, or the rendition for its turn. 404 with reason
    `no_thumbnail` if the photo could not be decoded and InvokeAI had no thumbnail either."""
    thumbnail = thumbnail_source.kept(photo_id, size)
    if thumbnail is None:
        try:
            thumbnail = await thumbnail_source.find(photo_id, size)
        except NotYet as not_yet:
            return files.not_yet(request, not_yet.photo)
    headers = {"ETag": thumbnail.etag, "Cache-Control": IMMUTABLE}
    if is_fresh(_if_none_match(request), thumbnail.etag):
        return Response(b"", status_code=304, headers=headers)
    if request.method == HttpMethod.HEAD:
        headers["Content-Length"] = str(len(thumbnail.content))
        return Response(b"", headers=headers, media_type=WEBP)
    return BytesResponse(thumbnail.content, headers=headers, media_type=WEBP)


def _if_none_match(request: Request[Any, Any, Any]) -> str | None:
    """Reads the header without a mapping of all headers, which would cost a tenth of the answer."""
    for name, value in request.scope["headers"]:
        if name == b"if-none-match":
            return value.decode("latin-1")
    return None


def _etag(photo: PhotoFile) -> str:
    return f'"{photo.sha256}"'


def _file_headers(photo: PhotoFile, download: str | None) -> dict[str, str]:
    return {
        "ETag": _etag(photo),
        "Cache-Control": IMMUTABLE,
        "Accept-Ranges": "bytes",
        "Content-Disposition": content_disposition("inline" if download is None else "attachment", photo.filename),
    }


async def _hurry(database: Database, bus: Bus, photo: PhotoFile) -> None:
    async with database.connection() as connection:
        await move_to_front(connection, photo.id)
    bus.retrieval_due()


routes = [get_photo_file, get_photo_thumbnail]
