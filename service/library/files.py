"""Opening and sending a photo's original."""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import AsyncIterator
from typing import Any, BinaryIO, Final, NamedTuple

import msgspec
from litestar import HttpMethod, MediaType, Request, Response
from litestar.response.base import ASGIResponse
from litestar.response.streaming import ASGIStreamingResponse
from litestar.types import Receive, Scope, Send

from service.api.error_answers import error_body
from service.database.engine import Database
from service.errors import ApiError, DataFolderAway, NotFound
from service.library.conditional import ByteRange
from service.media.storage import LocalStorage
from service.photos.integrity import MISSING, Integrity, LostFile, wrong_size
from service.photos.photo_file import PhotoFile, photo_file

CHUNK: Final = 256 * 1024
LONGEST_WAIT: Final = 60
TRIES: Final = 4
"""Tries to find a file whose name has just gone: the owner may change a selection faster than a slow disk answers."""


class RangeNotSatisfiable(ApiError):
    status, code = 416, "range_not_satisfiable"


class Waiting(msgspec.Struct, frozen=True):
    """The answer for a photo that is not home yet."""

    retrieval_status: str
    retrieval_attempts: int


async def lost(database: Database, integrity: Integrity, photo: PhotoFile, fault: LostFile) -> PhotoFile:
    """Reports a lost file, and returns the photo's new row: it is fetched again. Raises NotFound if it cannot be. One
    that was changed in between is asked for again as well."""
    path, sha256 = photo.local_storage_path, photo.sha256
    if path is not None and sha256 is not None:
        await integrity.lost(photo.id, path, sha256, str(fault), next_in_line=True)
    photo = await photo_file(database, photo.id)
    require_retrievable(photo)
    return photo


def require_retrievable(photo: PhotoFile) -> None:
    """Raises NotFound, with the reason, for a photo that will not come home by itself."""
    if photo.retrieval_status in ("failed", "gone"):
        words = "could not be retrieved" if photo.retrieval_status == "failed" else "is no longer in InvokeAI"
        details = {"retrieval_status": photo.retrieval_status, "retrieval_error": photo.retrieval_error}
        raise NotFound(f"this photo {words}", details)


def not_yet(request: Request[Any, Any, Any], photo: PhotoFile) -> Response[Any]:
    """202 with `Retry-After`."""
    seconds = min(LONGEST_WAIT, max(1, math.ceil(photo.due_in or 0)))
    waiting = Waiting(photo.retrieval_status, photo.retrieval_attempts)
    return Response(
        waiting if request.method == HttpMethod.GET else b"",
        status_code=202,
        media_type=MediaType.JSON,
        headers={"Retry-After": str(seconds), "Cache-Control": "no-store"},
    )


def unsatisfiable(size: int) -> Response[bytes]:
    """416: the file has no bytes in the range."""
    error = RangeNotSatisfiable(f"the file has {size} bytes")
    return Response(
        error_body(error),
        status_code=error.status,
        media_type=MediaType.JSON,
        headers={"Content-Range": f"bytes */{size}", "Cache-Control": "no-store"},
    )


class OpenOriginal(NamedTuple):
    """An open file and its row."""

    photo: PhotoFile
    file: BinaryIO


async def open_original(
    database: Database, storage: LocalStorage, integrity: Integrity, photo: PhotoFile
) -> OpenOriginal | PhotoFile:
    """The open original if it has the length in its row, or only the row of a photo that is not home. The row is read
    again when the name has just gone, or another file has it: a selection moves files (safe selection). Raises NotFound
    and `DataFolderAway`."""
    for tried in range(1, TRIES + 2):
        require_retrievable(photo)
        if photo.retrieval_status != "completed":
            break
        try:
            return OpenOriginal(photo, await asyncio.to_thread(_open, storage, photo))
        except LostFile as fault:
            photo = await (
                lost(database, integrity, photo, fault) if tried == TRIES else photo_file(database, photo.id)
            )
    return photo


def _open(storage: LocalStorage, photo: PhotoFile) -> BinaryIO:
    try:
        file = storage.open(photo.local_storage_path or "")
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:
        _require_folder(storage)
        raise LostFile(MISSING) from error
    except OSError as error:
        raise DataFolderAway(f"the file cannot be read: {error.strerror or error}") from error
    size = os.fstat(file.fileno()).st_size
    if size != photo.file_size:
        file.close()
        _require_folder(storage)
        raise LostFile(wrong_size(size, photo.file_size or 0))
    return file


def _require_folder(storage: LocalStorage) -> None:
    try:
        storage.check_mounted()
    except OSError as error:
        raise DataFolderAway(f"the data folder cannot be read: {error.strerror or error}") from error


class BytesResponse(Response[bytes]):
    """A response whose headers are known and whose bytes need no encoding."""

    def to_asgi_response(self, *_: Any, **__: Any) -> ASGIResponse:
        return _Bytes(self.content, self.headers | {"Content-Type": str(self.media_type)})


class _Bytes(ASGIResponse):
    def __init__(self, content: bytes, headers: dict[str, str]) -> None:
        self._content = content
        self._headers = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        self._headers.append((b"content-length", str(len(content)).encode()))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        await send({"type": "http.response.start", "status": 200, "headers": self._headers})
        await send({"type": "http.response.body", "body": self._content, "more_body": False})


class FileResponse(Response[Any]):
    """A part of an open file. The file is always closed."""

    def __init__(
        self, file: BinaryIO, part: ByteRange, *, status_code: int, media_type: str, headers: dict[str, str]
    ) -> None:
        length = {"Content-Length": str(part.end - part.start)}
        super().__init__(None, status_code=status_code, media_type=media_type, headers=headers | length)
        self.file = file
        self.part = part

    def to_asgi_response(self, *_: Any, is_head_response: bool = False, **__: Any) -> ASGIResponse:
        return _FileStream(
            self.file,
            iterator=_chunks(self.file, self.part),
            headers=dict(self.headers),
            is_head_response=is_head_response,
            media_type=self.media_type,
            status_code=self.status_code,
        )


class _FileStream(ASGIStreamingResponse):
    def __init__(self, file: BinaryIO, **options: Any) -> None:
        super().__init__(**options)
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._file.close()


async def _chunks(file: BinaryIO, part: ByteRange) -> AsyncIterator[bytes]:
    await asyncio.to_thread(file.seek, part.start)
    left = part.end - part.start
    while left and (chunk := await asyncio.to_thread(file.read, min(CHUNK, left))):
        left -= len(chunk)
        yield chunk
