"""A photo's bytes: the original, and its thumbnail."""

from __future__ import annotations

from typing import Annotated, Any, Final
from uuid import UUID

from litestar import HttpMethod, Request, Response, route
from litestar.di import NamedDependency
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, QueryParameter

from service.database.engine import Database
from service.error_responses import failures
from service.errors import NotFound
from service.library import files
from service.library.conditional import (
    IMMUTABLE,
    ByteRange,
    Unsatisfiable,
    content_disposition,
    is_fresh,
    wanted_range,
)
from service.library.files import FileResponse, Stored, Waiting
from service.library.thumbnails import Thumbnail, Thumbnails
from service.media.storage import LocalStorage
from service.reading import READING, named
from service.retrieval import queue
from service.retrieval.worker import Retrieval

TAGS: Final = ["photos"]
PNG: Final = "image/png"
"""What InvokeAI makes; nothing else is retrieved."""
WEBP: Final = "image/webp"

NOT_HOME: Final = ResponseSpec(Waiting, generate_examples=False, description="Not home yet; see Retry-After")
PART: Final = ResponseSpec(Any, generate_examples=False, description="The range that was asked for", media_type=PNG)
UNCHANGED: Final = ResponseSpec(None, description="What If-None-Match names is still what there is")


@route(
    "/api/v1/photos/{photo_id:uuid}/file",
    http_method=READING,
    operation_id=named("get_photo_file"),
    tags=TAGS,
    responses={202: NOT_HOME, 206: PART, 304: UNCHANGED, **failures(416)},
    media_type=PNG,
)
async def get_photo_file(
    photo_id: FromPath[UUID],
    request: Request[Any, Any, Any],
    database: NamedDependency[Database],
    storage: NamedDependency[LocalStorage],
    retrieval: NamedDependency[Retrieval],
    download: Annotated[str | None, QueryParameter(description="Present: as an attachment")] = None,
) -> Response[Any]:
    """The original, byte for byte. While it waits for retrieval: 202, and it becomes the next in line."""
    photo = await files.stored(database, photo_id)
    files.require_hope(photo)
    if photo.retrieval_status != "completed":
        if request.method == HttpMethod.GET:
            await _hurry(database, retrieval, photo)
        return files.not_yet(request, photo)
    etag = f'"{photo.sha256}"'
    headers = {
        "ETag": etag,
        "Cache-Control": IMMUTABLE,
        "Accept-Ranges": "bytes",
        "Content-Disposition": content_disposition("inline" if download is None else "attachment", photo.filename),
    }
    if is_fresh(request.headers.get("if-none-match"), etag):
        return Response(b"", status_code=304, headers=headers)
    file, size = await files.open_original(database, storage, photo)
    try:
        part = wanted_range(request.headers, etag, size) if request.method == HttpMethod.GET else None
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
    operation_id=named("get_photo_thumbnail"),
    tags=TAGS,
    responses={202: NOT_HOME, 304: UNCHANGED},
    media_type=WEBP,
)
async def get_photo_thumbnail(
    photo_id: FromPath[UUID],
    request: Request[Any, Any, Any],
    database: NamedDependency[Database],
    storage: NamedDependency[LocalStorage],
    thumbnails: NamedDependency[Thumbnails],
) -> Response[Any]:
    """WebP, 300 pixels at its long side. `?v=` only makes its address new. 202 while the photo waits for retrieval; 404
    with reason `no_thumbnail` for one that could not be decoded and of which InvokeAI had none either."""
    thumbnail = thumbnails.get(photo_id)
    if thumbnail is None:
        photo = await files.stored(database, photo_id)
        files.require_hope(photo)
        if photo.retrieval_status != "completed":
            return files.not_yet(request, photo)
        thumbnail = await _read_thumbnail(database, storage, thumbnails, photo)
    headers = {"ETag": thumbnail.etag, "Cache-Control": IMMUTABLE}
    if is_fresh(request.headers.get("if-none-match"), thumbnail.etag):
        return Response(b"", status_code=304, headers=headers)
    if request.method == HttpMethod.HEAD:
        headers["Content-Length"] = str(len(thumbnail.content))
        return Response(b"", headers=headers, media_type=WEBP)
    return Response(thumbnail.content, headers=headers, media_type=WEBP)


async def _read_thumbnail(
    database: Database, storage: LocalStorage, thumbnails: Thumbnails, photo: Stored
) -> Thumbnail:
    """From a file of some 20 kB: read at once, it costs a tenth of what a thread would, and no purge comes between the
    reading and the keeping."""
    for found in (photo, None):
        known = found or await files.stored(database, photo.id)
        if known.local_thumbnail_path is None:
            raise NotFound("this photo has no thumbnail", {"reason": "no_thumbnail"})
        try:
            return thumbnails.put(known.id, storage.path(known.local_thumbnail_path).read_bytes())
        except FileNotFoundError:
            continue
    raise files.lost(photo, photo.local_thumbnail_path)


async def _hurry(database: Database, retrieval: Retrieval, photo: Stored) -> None:
    async with database.connection() as connection:
        await queue.move_to_front(connection, photo.id)
    retrieval.wake()


routes = [get_photo_file, get_photo_thumbnail]
