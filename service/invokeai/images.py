"""REST calls for images: records, metadata, files (FACTS §4, §7, §10)."""

from __future__ import annotations

import asyncio
import io
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal

import aiohttp
import msgspec
import structlog

from service.errors import InvokeTooLong
from service.invokeai.answers import ImageNames, ListedImages, NamedImage, Newest, Total
from service.invokeai.bounds import LONGEST_NAME, is_image_name
from service.invokeai.events import ImageDTO, ImagePage, UnreadableImage
from service.invokeai.files import RemoteFile
from service.invokeai.server import Server, one_by_one, quoted
from service.runtime.bounded_json import decode

log = structlog.get_logger()

IMAGES_PER_CALL = 200
LONGEST_METADATA = 4 * 1024 * 1024
"""Bytes of an image's metadata that are read, the same as for metadata inside a file."""
DECODED_AT_ONCE = 64 * 1024
"""Bytes that are decoded on the event loop. More are decoded in a thread, which costs 0.1 ms."""
SLOWEST_LINE = 50_000
"""Bytes a second. An upload that is slower is given up."""
KEPT_METADATA = 500
KEPT_METADATA_BYTES = 8 * 1024 * 1024
"""How much metadata that was read is kept until its image is fetched, of one server."""


class ReadAhead:
    """Metadata that was read before the image's file, so that it need not be asked for again. The oldest gives way."""

    def __init__(self) -> None:
        self._texts: OrderedDict[str, bytes | None] = OrderedDict()
        self._bytes = 0

    def keep(self, name: str, text: bytes | None) -> None:
        self.take(name)
        self._texts[name] = text
        self._bytes += len(text or b"")
        while len(self._texts) > KEPT_METADATA or self._bytes > KEPT_METADATA_BYTES:
            self._bytes -= len(self._texts.popitem(last=False)[1] or b"")

    def take(self, name: str) -> tuple[bytes | None] | None:
        """What was kept, which is kept no longer; None where nothing was."""
        if name not in self._texts:
            return None
        text = self._texts.pop(name)
        self._bytes -= len(text or b"")
        return (text,)


class ImageCalls(Server):
    """Calls for the images that InvokeAI made or was given."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._metadata_read = ReadAhead()

    async def image(self, name: str) -> ImageDTO:
        """The image's DTO. `InvokeNotFound` means that it was deleted."""
        return await self._call("GET", _path(name), ImageDTO)

    async def images_by_names(self, names: Sequence[str]) -> list[ImageDTO]:
        """DTOs of these names. Unknown names are left out, and records that cannot be read or kept."""
        path = "/api/v1/images/images_by_names"
        return await self._by(path, lambda: self._read_images(path, names), lambda: self._found(self.image, names))

    async def _read_images(self, path: str, names: Sequence[str]) -> list[ImageDTO]:
        records = await self._in_pieces(path, "image_names", names, IMAGES_PER_CALL, list[msgspec.Raw])
        images, unreadable = _images(records)
        for image in unreadable:
            log.warning("image_not_readable", url=self.url, image_name=image.name, reason=image.why)
        return images

    async def image_names(self, *, categories: Sequence[str] = ()) -> list[str]:
        """Names of all images that are not intermediate, newest first, without invalid names. Raises InvokeNoSuchRoute
        before 6.0."""
        query = [("is_intermediate", "false"), ("starred_first", "false"), ("order_dir", "DESC")]
        query += [("categories", category) for category in categories]
        path = "/api/v1/images/names"
        names = (await self._call("GET", path, ImageNames, query=query)).image_names
        return [name for name in names if is_image_name(name)]

    async def images_page(
        self,
        limit: int,
        offset: int,
        *,
        is_intermediate: bool | None = None,
        categories: Sequence[str] = (),
        starred_first: bool = True,
        order: Literal["ASC", "DESC"] = "DESC",
        search_term: str = "",
        retry: bool = True,
    ) -> ImagePage:
        """A page of the gallery. `search_term` is searched in the metadata, as text."""
        query = [("limit", str(limit)), ("offset", str(offset)), ("order_dir", order)]
        query += [("starred_first", _flag(starred_first))]
        query += [("categories", category) for category in categories]
        if is_intermediate is not None:
            query += [("is_intermediate", _flag(is_intermediate))]
        if search_term:
            query += [("search_term", search_term)]
        answer = await self._call("GET", "/api/v1/images/", ListedImages, query=query, idempotent=retry)
        images, unreadable = _images(answer.items)
        return ImagePage(
            items=images, unreadable=unreadable, total=answer.total, limit=answer.limit, offset=answer.offset
        )

    async def newest_images(self, limit: int) -> Newest:
        """The names of the newest finished images, and the total: the smallest answer that shows whether something is
        new."""
        query = [("limit", str(limit)), ("offset", "0"), ("order_dir", "DESC"), ("starred_first", "false")]
        query += [("is_intermediate", "false")]
        newest = await self._call("GET", "/api/v1/images/", Newest, query=query)
        newest.items = [image for image in newest.items[:limit] if is_image_name(image.image_name)]
        return newest

    async def videos_total(self) -> int:
        """How many videos there are; 0 on servers that know none (before 6.14)."""
        path = "/api/v1/videos/"
        if path not in (await self._info()).routes:
            return 0
        return (await self._call("GET", path, Total, query=[("limit", "1"), ("offset", "0")])).total

    async def metadata(self, name: str, *, keep: bool = False) -> dict[str, Any] | None:
        """The image's core_metadata; None if it has none, or none that can be read: anybody may have written them.
        Parts that are too large are left out (`bounded_json`). With `keep`, the next `metadata_text` of this image asks
        nothing."""
        content = await self._read_metadata(name)
        if keep:
            self._metadata_read.keep(name, content)
        if content is None:
            return None
        try:
            is_large = len(content) > DECODED_AT_ONCE
            metadata = await asyncio.to_thread(decode, content) if is_large else decode(content)
        except (ValueError, RecursionError) as error:
            log.warning("metadata cannot be read", image_name=name, reason=str(error))
            return None
        return metadata if isinstance(metadata, dict) else None

    async def metadata_text(self, name: str) -> bytes | None:
        """The same before it is decoded; None if it has none, or more than is read."""
        kept = self._metadata_read.take(name)
        return await self._read_metadata(name) if kept is None else kept[0]

    async def _read_metadata(self, name: str) -> bytes | None:
        try:
            content = await self._transport.read(_path(name, "metadata"), most=LONGEST_METADATA)
            return None if content.strip() == b"null" else content
        except InvokeTooLong as error:
            log.warning("metadata cannot be read", image_name=name, reason=str(error))
            return None

    async def upload(
        self,
        content: bytes,
        filename: str,
        *,
        content_type: str = "image/png",
        category: str = "user",
        is_intermediate: bool = False,
    ) -> ImageDTO:
        """Uploads an image. Sent once, within `upload_seconds`."""

        def form() -> aiohttp.FormData:
            data = aiohttp.FormData()
            data.add_field("file", io.BytesIO(content), filename=filename, content_type=content_type)
            return data

        query = [("image_category", category), ("is_intermediate", _flag(is_intermediate))]
        path = "/api/v1/images/upload"
        seconds = self.upload_seconds(len(content))
        return await self._call("POST", path, ImageDTO, query=query, form=form, idempotent=False, seconds=seconds)

    def upload_seconds(self, size: int) -> float:
        """How long an upload of so many bytes may take."""
        return self.timeout + size / SLOWEST_LINE

    @asynccontextmanager
    async def open_file(self, name: str) -> AsyncIterator[RemoteFile]:
        """The original file. A 404 here alone does not mean that it was deleted (FACTS §10)."""
        async with self._transport.stream(_path(name, "full")) as response:
            yield RemoteFile(response)

    @asynccontextmanager
    async def open_thumbnail(self, name: str) -> AsyncIterator[RemoteFile]:
        async with self._transport.stream(_path(name, "thumbnail")) as response:
            yield RemoteFile(response)


def _images(records: Sequence[msgspec.Raw]) -> tuple[list[ImageDTO], list[UnreadableImage]]:
    images, refused = one_by_one(records, ImageDTO)
    return images, [UnreadableImage(_name(record), why) for record, why in refused]


def _name(record: msgspec.Raw) -> str:
    """The image's name for a message, if it can be read."""
    try:
        name = msgspec.json.decode(record, type=NamedImage).image_name
    except (ValueError, RecursionError):
        return "an image without a name"
    return "".join(letter if letter.isprintable() else "?" for letter in name[:LONGEST_NAME])


def _path(name: str, route: str = "") -> str:
    return f"/api/v1/images/i/{quoted(name)}" + (f"/{route}" if route else "")


def _flag(value: bool) -> str:
    return "true" if value else "false"
