"""REST of the gallery, with the routes that Darkroom does not use, and what each user may see and do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import pyvips
from aiohttp import web

from service.demo import png
from service.demo.answers import Problem, json_answer
from service.demo.images import KEEP, ROOT, Image, ImageRoutes
from tests.fakes.invokeai.access import USER
from tests.fakes.invokeai.http import (
    invalid,
    query_bool,
    query_direction,
    query_int,
    read_field,
    read_json,
)
from tests.fakes.invokeai.images import CATEGORIES, FullImages
from tests.fakes.invokeai.pictures import read_texts, thumbnail

Json = dict[str, Any]

_KEPT_TEXTS = ("invokeai_metadata", "invokeai_workflow", "invokeai_graph")
"""Of the texts inside an upload; all others are dropped (FACTS §7)."""
_ONE = f"{ROOT}/i/{{image_name}}"


class FullImageRoutes(ImageRoutes):
    """`forget` is told the name of each image that is deleted."""

    _images: FullImages

    def __init__(self, images: FullImages, forget: Callable[[str], None]) -> None:
        super().__init__(images)
        self._forget = forget

    def add_to(self, app: web.Application) -> None:
        get, post = app.router.add_get, app.router.add_post
        get("/api/v1/videos/", self.videos, allow_head=False)
        post(f"{ROOT}/delete", self.delete_many)
        post(f"{ROOT}/star", self.star)
        post(f"{ROOT}/unstar", self.unstar)
        app.router.add_patch(_ONE, self.patch)
        app.router.add_delete(_ONE, self.delete)
        get(f"{_ONE}/workflow", self.workflow, allow_head=False)
        get(f"{_ONE}/urls", self.urls, allow_head=False)
        get(f"{_ONE}/thumbnail", self.thumbnail, allow_head=False)
        super().add_to(app)

    def image(self, request: web.Request) -> Image:
        image = super().image(request)
        if not USER.get().owns(image.user_id):
            verb = "access" if request.method in ("GET", "HEAD") else "modify"
            raise Problem(403, f"Not authorized to {verb} this image")
        return image

    def named(self, names: Iterable[str]) -> list[Image]:
        return [image for image in super().named(names) if USER.get().owns(image.user_id)]

    # -- reading

    def listed(self, request: web.Request) -> list[Image]:
        query = request.query
        categories = tuple(query.getall("categories", []))
        for index, word in enumerate(categories):
            if word not in CATEGORIES:
                words = "'general', 'mask', 'control', 'user' or 'other'"
                loc: list[str | int] = ["query", "categories", index]
                raise invalid("enum", loc, f"Input should be {words}", word, {"expected": words})
        found = self._images.select(
            categories=categories,
            is_intermediate=query_bool(request, "is_intermediate"),
            search_term=query.get("search_term", ""),
            ascending=query_direction(request) == "ASC",
            origin=query.get("image_origin"),
            board_id=query.get("board_id"),
            starred_first=query_bool(request, "starred_first") is not False,
        )
        return [image for image in found if USER.get().owns(image.user_id)]

    async def page(self, request: web.Request) -> web.Response:
        query_int(request, "offset", 0)
        query_int(request, "limit", 10, maximum=1000)
        return await super().page(request)

    async def videos(self, request: web.Request) -> web.Response:
        """None: it makes pictures only."""
        limit, offset = query_int(request, "limit", 10), query_int(request, "offset", 0)
        return json_answer({"limit": limit, "offset": offset, "total": 0, "items": []})

    async def workflow(self, request: web.Request) -> web.Response:
        texts = read_texts(self._images.path(self.image(request).image_name).read_bytes())
        return json_answer({"workflow": texts.get("invokeai_workflow"), "graph": texts.get("invokeai_graph")})

    async def thumbnail(self, request: web.Request) -> web.Response:
        image = self.image(request)
        path = self._images.thumbnail_path(image.image_name)
        if not path.exists():
            pixels = await asyncio.to_thread(self._images.pixels, image.image_name)
            self._images.keep_thumbnail(image, await asyncio.to_thread(thumbnail, pixels))
        return web.Response(body=path.read_bytes(), content_type="image/webp", headers=KEEP)

    async def urls(self, request: web.Request) -> web.Response:
        """Answers for names that do not exist too (FACTS §7)."""
        name = request.match_info["image_name"]
        url = f"api/v1/images/i/{name}"
        return json_answer({"image_name": name, "image_url": f"{url}/full", "thumbnail_url": f"{url}/thumbnail"})

    # -- changing

    async def full(self, request: web.Request) -> web.Response:
        try:
            return await super().full(request)
        except OSError:  # any read error is a 404 (FACTS §10)
            raise Problem(404, "Not Found") from None

    async def upload(self, request: web.Request) -> web.Response:
        form = await request.post() if request.content_type == "multipart/form-data" else {}
        file = form.get("file")
        if not isinstance(file, web.FileField):
            raise invalid("missing", ["body", "file"], "Field required", None)
        data = file.file.read()
        try:
            pixels = await asyncio.to_thread(png.decode, data)
        except pyvips.Error:
            raise Problem(415, "Not an image") from None
        texts = {key: text for key, text in read_texts(data).items() if key in _KEPT_TEXTS}
        encoded = await asyncio.to_thread(png.encode_png, pixels, texts)
        return self.added(self._images.keep(encoded, texts, **self.uploaded(request)))

    def uploaded(self, request: web.Request) -> Json:
        query_bool(request, "is_intermediate")
        more = {name: request.query[name] for name in ("session_id", "board_id") if name in request.query}
        return super().uploaded(request) | more | {"user_id": USER.get().user_id}

    async def patch(self, request: web.Request) -> web.Response:
        image = self.image(request)
        changes = await read_json(request) or {}
        allowed = {"is_intermediate", "image_category", "session_id", "starred"}
        self._images.update(image, **{name: value for name, value in changes.items() if name in allowed})
        return json_answer(image.dto())

    async def delete(self, request: web.Request) -> web.Response:
        if self._images.find(request.match_info["image_name"]) is None:
            raise Problem(404, "Image not found")
        return json_answer(self._delete([self.image(request)]))

    async def delete_many(self, request: web.Request) -> web.Response:
        """Unknown names are passed over (FACTS §7)."""
        return json_answer(self._delete(self.named(await read_field(request, "image_names"))))

    def _delete(self, images: list[Image]) -> Json:
        gone = self._images.remove([image.image_name for image in images])
        for image in gone:
            self._forget(image.image_name)
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
        mine = self.named(await read_field(request, "image_names"))
        for image in mine:
            self._images.update(image, starred=value)
        boards = sorted({image.board_id or "none" for image in mine})
        return {"affected_boards": boards, key: [image.image_name for image in mine], "failed_images": []}
