"""REST of the gallery: records, files, upload, delete (FACTS §7)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import pyvips
from aiohttp import web

from service.demo import png
from service.demo.access import Access, User
from service.demo.clock import new_id
from service.demo.http import (
    Problem,
    invalid,
    json_answer,
    query_bool,
    query_direction,
    query_int,
    read_field,
    read_json,
)
from service.demo.images import CATEGORIES, Filter, Image, ImageNotFoundError, Images, Source
from service.demo.processor import NodeCache

Json = dict[str, Any]

_ROOT = "/api/v1/images"
_ONE = f"{_ROOT}/i/{{image_name}}"
_KEEP = {"Cache-Control": "max-age=31536000"}


class ImageRoutes:
    def __init__(self, images: Images, cache: NodeCache, access: Access) -> None:
        self._images, self._cache, self._access = images, cache, access

    def add_to(self, app: web.Application) -> None:
        get, post = app.router.add_get, app.router.add_post
        post(f"{_ROOT}/upload", self.upload)
        get(f"{_ROOT}/", self.page, allow_head=False)
        get(f"{_ROOT}/names", self.names, allow_head=False)
        get("/api/v1/videos/", self.videos, allow_head=False)
        post(f"{_ROOT}/images_by_names", self.images_by_names)
        post(f"{_ROOT}/delete", self.delete_many)
        post(f"{_ROOT}/star", self.star)
        post(f"{_ROOT}/unstar", self.unstar)
        get(_ONE, self.dto, allow_head=False)
        app.router.add_patch(_ONE, self.patch)
        app.router.add_delete(_ONE, self.delete)
        get(f"{_ONE}/metadata", self.metadata, allow_head=False)
        get(f"{_ONE}/workflow", self.workflow, allow_head=False)
        get(f"{_ONE}/urls", self.urls, allow_head=False)
        get(f"{_ONE}/full", self.full)
        get(f"{_ONE}/thumbnail", self.thumbnail, allow_head=False)

    def _image(self, request: web.Request, user: User) -> Image:
        try:
            image = self._images.get(request.match_info["image_name"])
        except ImageNotFoundError:
            raise Problem(404, "Not Found") from None
        if not user.owns(image.user_id):
            verb = "access" if request.method in ("GET", "HEAD") else "modify"
            raise Problem(403, f"Not authorized to {verb} this image")
        return image

    # -- records

    def _listed(self, request: web.Request) -> list[Image]:
        user, query = self._access.user(request), request.query
        categories = tuple(query.getall("categories", []))
        for index, word in enumerate(categories):
            if word not in CATEGORIES:
                words = "'general', 'mask', 'control', 'user' or 'other'"
                loc: list[str | int] = ["query", "categories", index]
                raise invalid("enum", loc, f"Input should be {words}", word, {"expected": words})
        starred_first = query_bool(request, "starred_first")
        wanted = Filter(
            origin=query.get("image_origin"),
            categories=categories,
            is_intermediate=query_bool(request, "is_intermediate"),
            board_id=query.get("board_id"),
            search_term=query.get("search_term"),
            starred_first=starred_first is not False,
            ascending=query_direction(request) == "ASC",
        )
        return self._images.select(wanted, lambda image: user.owns(image.user_id))

    async def page(self, request: web.Request) -> web.Response:
        offset = query_int(request, "offset", 0)
        limit = query_int(request, "limit", 10, maximum=1000)
        found = self._listed(request)
        items = [image.dto() for image in found[offset : offset + limit]]
        return json_answer({"limit": limit, "offset": offset, "total": len(found), "items": items})

    async def videos(self, request: web.Request) -> web.Response:
        """None: the demo paints pictures only."""
        self._access.user(request)
        limit, offset = query_int(request, "limit", 10), query_int(request, "offset", 0)
        return json_answer({"limit": limit, "offset": offset, "total": 0, "items": []})

    async def names(self, request: web.Request) -> web.Response:
        found = self._listed(request)
        starred = sum(image.starred for image in found)
        names = [image.image_name for image in found]
        return json_answer({"image_names": names, "starred_count": starred, "total_count": len(found)})

    async def images_by_names(self, request: web.Request) -> web.Response:
        user = self._access.user(request)
        found = [self._images.find(name) for name in await read_field(request, "image_names")]
        return json_answer([image.dto() for image in found if image and user.owns(image.user_id)])

    async def dto(self, request: web.Request) -> web.Response:
        return json_answer(self._image(request, self._access.user(request)).dto())

    async def metadata(self, request: web.Request) -> web.Response:
        return json_answer(self._images.metadata(self._image(request, self._access.user(request))))

    async def workflow(self, request: web.Request) -> web.Response:
        image = self._image(request, self._access.user(request))
        data = await asyncio.to_thread(self._images.path(image.image_name).read_bytes)
        texts = png.read_texts(data)
        return json_answer({"workflow": texts.get("invokeai_workflow"), "graph": texts.get("invokeai_graph")})

    async def urls(self, request: web.Request) -> web.Response:
        """Answers for names that do not exist too (FACTS §7)."""
        self._access.user(request)
        name = request.match_info["image_name"]
        url = f"api/v1/images/i/{name}"
        return json_answer({"image_name": name, "image_url": f"{url}/full", "thumbnail_url": f"{url}/thumbnail"})

    # -- files

    async def full(self, request: web.Request) -> web.Response:
        image = self._image(request, self._access.media_user(request))
        data = await self._read(self._images.path(image.image_name).read_bytes)
        headers = _KEEP | {"Content-Disposition": f'inline; filename="{image.image_name}"'}
        return web.Response(body=data, content_type="image/png", headers=headers)

    async def thumbnail(self, request: web.Request) -> web.Response:
        image = self._image(request, self._access.media_user(request))
        data = await self._read(self._images.thumbnail_path(image.image_name).read_bytes)
        return web.Response(body=data, content_type="image/webp", headers=_KEEP)

    async def _read(self, read: Any) -> bytes:
        try:
            data: bytes = await asyncio.to_thread(read)
        except OSError:  # any read error is a 404 (FACTS §10)
            raise Problem(404, "Not Found") from None
        return data

    # -- changes

    async def upload(self, request: web.Request) -> web.Response:
        user = self._access.user(request)
        data, metadata = await self._read_form(request)
        category = request.query.get("image_category", "user")
        try:
            pixels = await asyncio.to_thread(png.decode, data)
        except pyvips.Error:
            raise Problem(415, "Not an image") from None
        texts = png.read_texts(data) | ({"invokeai_metadata": metadata} if metadata else {})
        source = Source(
            category=category,
            origin="external",
            is_intermediate=bool(query_bool(request, "is_intermediate")),
            session_id=request.query.get("session_id"),
            board_id=request.query.get("board_id"),
            user_id=user.user_id,
        )
        encoded, thumbnail = await asyncio.to_thread(self._images.encode, pixels, texts)
        image = self._images.add(encoded, thumbnail, source, name=f"{new_id()}.png")
        dto = image.dto()
        return json_answer(dto, 201, {"Location": dto["image_url"]})

    async def _read_form(self, request: web.Request) -> tuple[bytes, str | None]:
        data, metadata = None, None
        if request.content_type == "multipart/form-data":
            form = await request.post()
            file, text = form.get("file"), form.get("metadata")
            data = file.file.read() if isinstance(file, web.FileField) else None
            metadata = text if isinstance(text, str) and text else None
        if data is None:
            raise invalid("missing", ["body", "file"], "Field required", None)
        return data, metadata

    async def patch(self, request: web.Request) -> web.Response:
        image = self._image(request, self._access.user(request))
        changes = await read_json(request) or {}
        allowed = {"is_intermediate", "image_category", "session_id", "starred"}
        self._images.update(image, **{name: value for name, value in changes.items() if name in allowed})
        return json_answer(image.dto())

    async def delete(self, request: web.Request) -> web.Response:
        user = self._access.user(request)
        if self._images.find(request.match_info["image_name"]) is None:
            raise Problem(404, "Image not found")
        return json_answer(self._delete([self._image(request, user).image_name], user))

    async def delete_many(self, request: web.Request) -> web.Response:
        """Unknown names are passed over (FACTS §7)."""
        return json_answer(self._delete(await read_field(request, "image_names"), self._access.user(request)))

    def _delete(self, names: Iterable[str], user: User) -> Json:
        mine = [image for name in names if (image := self._images.find(name)) and user.owns(image.user_id)]
        gone = self._images.remove([image.image_name for image in mine])
        for image in gone:
            self._cache.forget_image(image.image_name)
        return {
            "affected_boards": sorted({image.board_id or "none" for image in gone}),
            "deleted_images": [image.image_name for image in gone],
            "failed_images": [],
        }

    async def star(self, request: web.Request) -> web.Response:
        return json_answer(await self._starred(request, "starred_images", value=True))

    async def unstar(self, request: web.Request) -> web.Response:
        return json_answer(await self._starred(request, "unstarred_images", value=False))

    async def _starred(self, request: web.Request, key: str, *, value: bool) -> Json:
        user = self._access.user(request)
        found = [self._images.find(name) for name in await read_field(request, "image_names")]
        mine = [image for image in found if image and user.owns(image.user_id)]
        for image in mine:
            self._images.update(image, starred=value)
        boards = sorted({image.board_id or "none" for image in mine})
        return {"affected_boards": boards, key: [image.image_name for image in mine], "failed_images": []}
