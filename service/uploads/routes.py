"""The REST route that uploads a photo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from litestar import Request, Response, post
from litestar.di import NamedDependency
from litestar.openapi import ResponseSpec
from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIFormat, OpenAPIType

from service.api.error_answers import failures
from service.api.resources import UploadedPhoto
from service.database.engine import Database
from service.errors import Unavailable
from service.library.queries import uploaded_photo
from service.uploads.body import FilePart
from service.uploads.intake import Uploads

KNOWN: Final = ResponseSpec(
    UploadedPhoto, generate_examples=False, description="A photo with these bytes exists already: it is the answer"
)


@dataclass
class TakesFile(Operation):
    """The OpenAPI description of the form. The handler reads the body itself, so the framework cannot describe it."""

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
    """Upload an image as the only part `file` of a form: PNG, JPEG, WebP, AVIF, GIF or TIFF, recognised by its content.
    Its bytes are stored unchanged. If a photo with the same bytes is home, that one is answered with 200 and
    `duplicate`; it is taken out of the trash if it was there. 413: more bytes, pixels or frames than allowed. 415:
    another format, or a damaged file. 408: the body came too slowly."""
    taken = await uploads.take(FilePart(request, uploads.max_bytes))
    async with database.connection() as connection:
        photo = await uploaded_photo(connection, taken.photo_id, is_duplicate=taken.is_duplicate)
    if photo is None:
        raise Unavailable("the photo was deleted just now: try again")
    return Response(photo, status_code=200 if taken.is_duplicate else 201)


routes = [upload_photo]
