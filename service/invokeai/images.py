"""The images' routes: records, metadata, files (FACTS §4, §7, §10)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal

import aiohttp
import msgspec
import structlog

from service.invokeai.answers import ImageNames, ListedImages, NamedImage, Newest, Total
from service.invokeai.events import LONGEST_NAME, ImageDTO, ImagePage, UnreadableImage
from service.invokeai.files import RemoteFile
from service.invokeai.server import Server, one_by_one, quoted

log = structlog.get_logger()

IMAGES_PER_CALL = 200


class ImageCalls(Server):
    """What InvokeAI has made and was given."""

    async def image(self, name: str) -> ImageDTO:
        """`InvokeNotFound` means it is deleted."""
        return await self._call("GET", _path(name), ImageDTO)

    async def images_by_names(self, names: Sequence[str]) -> list[ImageDTO]:
        """Unknown names are left out, and those whose records cannot be read or kept."""
        path = "/api/v1/images/images_by_names"
        return await self._by(path, lambda: self._read_images(path, names), lambda: self._found(self.image, names))

    async def _read_images(self, path: str, names: Sequence[str]) -> list[ImageDTO]:
        records = await self._in_pieces(path, "image_names", names, IMAGES_PER_CALL, list[msgspec.Raw])
        images, unreadable = _images(records)
        for image in unreadable:
            log.warning("image_not_readable", image_name=image.name, reason=image.why)
        return images

    async def image_names(self, *, categories: Sequence[str] = ()) -> list[str]:
        """Of all images that are not intermediate, newest first. Raises InvokeNoSuchRoute before 6.0."""
        query = [("is_intermediate", "false"), ("starred_first", "false"), ("order_dir", "DESC")]
        query += [("categories", category) for category in categories]
        return (await self._call("GET", "/api/v1/images/names", ImageNames, query=query)).image_names

    async def images_page(
        self,
        limit: int,
        offset: int,
        *,
        is_intermediate: bool | None = None,
        categories: Sequence[str] = (),
        starred_first: bool = True,
        order: Literal["ASC", "DESC"] = "DESC",
        retry: bool = True,
    ) -> ImagePage:
        query = [("limit", str(limit)), ("offset", str(offset)), ("order_dir", order)]
        query += [("starred_first", _flag(starred_first))]
        query += [("categories", category) for category in categories]
        if is_intermediate is not None:
            query += [("is_intermediate", _flag(is_intermediate))]
        answer = await self._call("GET", "/api/v1/images/", ListedImages, query=query, idempotent=retry)
        images, unreadable = _images(answer.items)
        return ImagePage(
            items=images, unreadable=unreadable, total=answer.total, limit=answer.limit, offset=answer.offset
        )

    async def newest_images(self, limit: int) -> Newest:
        """The names of the newest finished images, and how many there are: no more of a page than it takes to see
        that something is new."""
        query = [("limit", str(limit)), ("offset", "0"), ("order_dir", "DESC"), ("starred_first", "false")]
        query += [("is_intermediate", "false")]
        return await self._call("GET", "/api/v1/images/", Newest, query=query)

    async def videos_total(self) -> int:
        """How many videos there are; 0 on servers that know none (before 6.14)."""
        path = "/api/v1/videos/"
        if path not in (await self._info()).routes:
            return 0
        return (await self._call("GET", path, Total, query=[("limit", "1"), ("offset", "0")])).total

    async def metadata(self, name: str) -> dict[str, Any] | None:
        """The image's core_metadata; None when it has none, or none that can be read: anybody may have written them."""
        content = await self._transport.read(_path(name, "metadata"))
        try:
            metadata = msgspec.json.decode(content)
        except (ValueError, RecursionError) as error:
            log.warning("metadata cannot be read", image_name=name, reason=str(error))
            return None
        return metadata if isinstance(metadata, dict) else None

    async def upload(
        self,
        content: bytes,
        filename: str,
        *,
        content_type: str = "image/png",
        category: str = "user",
        is_intermediate: bool = False,
    ) -> ImageDTO:
        def form() -> aiohttp.FormData:
            data = aiohttp.FormData()
            data.add_field("file", content, filename=filename, content_type=content_type)
            return data

        query = [("image_category", category), ("is_intermediate", _flag(is_intermediate))]
        path = "/api/v1/images/upload"
        return await self._call("POST", path, ImageDTO, query=query, form=form, idempotent=False)

    @asynccontextmanager
    async def open_file(self, name: str) -> AsyncIterator[RemoteFile]:
        """The original. A 404 here alone does not mean that it is deleted (FACTS §10)."""
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
    """As far as it can be told, and fit for a sentence."""
    try:
        name = msgspec.json.decode(record, type=NamedImage).image_name
    except (ValueError, RecursionError):
        return "an image without a name"
    return "".join(letter if letter.isprintable() else "?" for letter in name[:LONGEST_NAME])


def _path(name: str, route: str = "") -> str:
    return f"/api/v1/images/i/{quoted(name)}" + (f"/{route}" if route else "")


def _flag(value: bool) -> str:
    return "true" if value else "false"
