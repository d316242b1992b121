"""The images' routes: records, metadata, files (FACTS §4, §7, §10)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal

import aiohttp
import msgspec
import structlog

from service.invokeai.answers import Newest, Total
from service.invokeai.events import ImageDTO, ImagePage
from service.invokeai.files import RemoteFile
from service.invokeai.server import Server, quoted

log = structlog.get_logger()

IMAGES_PER_CALL = 200


class ImageCalls(Server):
    """What InvokeAI has made and was given."""

    async def image(self, name: str) -> ImageDTO:
        """`InvokeNotFound` means it is deleted."""
        return await self._call("GET", _path(name), ImageDTO)

    async def images_by_names(self, names: Sequence[str]) -> list[ImageDTO]:
        """Unknown names are left out."""
        path = "/api/v1/images/images_by_names"
        return await self._by(
            path,
            lambda: self._in_pieces(path, "image_names", names, IMAGES_PER_CALL, list[ImageDTO]),
            lambda: self._found(self.image, names),
        )

    async def images_page(
        self,
        limit: int,
        offset: int,
        *,
        is_intermediate: bool | None = None,
        categories: Sequence[str] = (),
        starred_first: bool = True,
        order: Literal["ASC", "DESC"] = "DESC",
    ) -> ImagePage:
        query = [("limit", str(limit)), ("offset", str(offset)), ("order_dir", order)]
        query += [("starred_first", _flag(starred_first))]
        query += [("categories", category) for category in categories]
        if is_intermediate is not None:
            query += [("is_intermediate", _flag(is_intermediate))]
        return await self._call("GET", "/api/v1/images/", ImagePage, query=query)

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


def _path(name: str, route: str = "") -> str:
    return f"/api/v1/images/i/{quoted(name)}" + (f"/{route}" if route else "")


def _flag(value: bool) -> str:
    return "true" if value else "false"
