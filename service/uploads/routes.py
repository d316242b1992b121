"""Uploading a photo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from litestar import Request, Response, post
from litestar.di import NamedDependency
from litestar.openapi import ResponseSpec
from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIFormat, OpenAPIType

from service.database.engine import Database
from service.error_responses import failures
from service.errors import Unavailable
from service.library.queries import uploaded_photo
from service.live.messages import UploadedPhoto
from service.uploads.body import FilePart
from service.uploads.intake import Uploads

KNOWN: Final = ResponseSpec(
    UploadedPhoto, generate_examples=False, description="A photo with these bytes is here already: this one"
)


@dataclass
class TakesFile(Operation):
    """The body is read by hand, so its form is told by hand, too."""

    def __post_init__(self) -> None:
        file = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY)
        form = Schema(type=OpenAPIType.OBJECT, properties={"file": file}, required=["file"])
        self.request_body = RequestBody({"multipart/form-data": OpenAPIMediaType(schema=form)}, required=True)


@post(
    "/api/v1/photos",
    operation_id="upload_photo",
    operation_class=TakesFile,
    tags=["photos"],
    responses={200: KNOWN, **failures(400, 408, 413, 415, 503)},
    request_max_body_size=None,
)
async def upload_photo(
    request: Request[Any, Any, Any], uploads: NamedDependency[Uploads], database: NamedDependency[Database]
) -> Response[UploadedPhoto]:
    """Upload a picture, as the only part `file` of a form: PNG, JPEG, WebP, AVIF, GIF or TIFF, told by its content. Its
    bytes are kept as they are. Where a photo with the same bytes is home, that photo is answered with 200 and
    `duplicate`, out of the trash if it was there. 413: more bytes, pixels or frames than are taken. 415: not such a
    picture, or a damaged one. 408: the body came too slowly."""
    taken = await uploads.take(FilePart(request, uploads.max_bytes))
    async with database.connection() as connection:
        photo = await uploaded_photo(connection, taken.photo_id, is_duplicate=taken.is_duplicate)
    if photo is None:
        raise Unavailable("the photo was deleted just now: try again")
    return Response(photo, status_code=200 if taken.is_duplicate else 201)


routes = [upload_photo]
