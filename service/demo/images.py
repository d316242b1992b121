"""The gallery: image records, their files, and REST over both (FACTS §4, §7)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web
from msgspec import Struct
from msgspec.structs import asdict

from service.demo import png
from service.demo.answers import Problem, json_answer, new_id, read_json, stamp
from service.demo.png import Pixels
from service.demo.store import Store

Json = dict[str, Any]

ROOT = "/api/v1/images"
_ONE = f"{ROOT}/i/{{image_name}}"
KEEP = {"Cache-Control": "max-age=31536000"}
_MOST = 1000


class Image(Struct, kw_only=True):
    """One record: the fields of InvokeAI's answers, in its order, then whose it is and its metadata."""

    image_name: str
    image_url: str
    thumbnail_url: str
    image_origin: str = "internal"
    image_category: str = "general"
    width: int
    height: int
    created_at: str
    updated_at: str
    deleted_at: None = None
    is_intermediate: bool = False
    session_id: str | None = None
    node_id: str | None = None
    starred: bool = False
    has_workflow: bool = False
    image_subfolder: str = ""
    board_id: str | None = None
    user_id: str = "system"
    metadata: str | None = None

    def dto(self) -> Json:
        whole = asdict(self)
        del whole["user_id"], whole["metadata"]
        return whole


class Images:
    """Records in the store, files under `outputs/images`, both written before an event names the image (FACTS §4)."""

    def __init__(self, store: Store, folder: Path, now: Callable[[], datetime]) -> None:
        self._store, self._now = store, now
        self.folder = folder / "outputs" / "images"
        self.folder.mkdir(parents=True, exist_ok=True)
        self._by_name = {image.image_name: image for image in store.read("images", Image)}

    def find(self, name: str) -> Image | None:
        return self._by_name.get(name)

    def select(
        self,
        *,
        categories: Collection[str] = (),
        is_intermediate: bool | None = None,
        ascending: bool = False,
    ) -> list[Image]:
        """Newest first unless asked otherwise; of one millisecond, the later added counts as newer."""
        found = [
            image
            for image in self._by_name.values()
            if (not categories or image.image_category in categories)
            and is_intermediate in (None, image.is_intermediate)
        ]
        found.sort(key=lambda image: image.created_at)
        return found if ascending else found[::-1]

    def path(self, name: str) -> Path:
        return self.folder / name

    def keep(self, data: bytes, texts: Mapping[str, str], *, created_at: str | None = None, **fields: Any) -> Image:
        """A PNG and the texts in it, as a new image."""
        name, at = f"{new_id()}.png", created_at or stamp(self._now())
        url = f"api/v1/images/i/{name}"
        image = Image(
            image_name=name,
            image_url=f"{url}/full",
            thumbnail_url=f"{url}/thumbnail",
            width=int.from_bytes(data[16:20]),
            height=int.from_bytes(data[20:24]),
            created_at=at,
            updated_at=at,
            has_workflow="invokeai_graph" in texts or "invokeai_workflow" in texts,
            metadata=texts.get("invokeai_metadata"),
            **fields,
        )
        self.save(image)  # before the file is there (FACTS §10)
        self.path(name).write_bytes(data)
        return image

    def save(self, image: Image) -> None:
        self._by_name[image.image_name] = image
        self._store.put("images", {image.image_name: image})

    def pixels(self, name: str) -> Pixels:
        """Decodes the file. CPU work: call it in a thread."""
        return png.decode(self.path(name).read_bytes())


class ImageRoutes:
    def __init__(self, images: Images) -> None:
        self._images = images

    def add_to(self, app: web.Application) -> None:
        get, post = app.router.add_get, app.router.add_post
        post(f"{ROOT}/upload", self.upload)
        get(f"{ROOT}/", self.page, allow_head=False)
        get(f"{ROOT}/names", self.names, allow_head=False)
        post(f"{ROOT}/images_by_names", self.images_by_names)
        get(_ONE, self.dto, allow_head=False)
        get(f"{_ONE}/metadata", self.metadata, allow_head=False)
        get(f"{_ONE}/full", self.full)

    def image(self, request: web.Request) -> Image:
        """The one that the path names."""
        image = self._images.find(request.match_info["image_name"])
        if image is None:
            raise Problem(404, "Not Found")
        return image

    def named(self, names: Iterable[str]) -> list[Image]:
        """The images of these names that exist."""
        return [image for name in names if (image := self._images.find(name))]

    def listed(self, request: web.Request) -> list[Image]:
        query = request.query
        return self._images.select(
            categories=query.getall("categories", []),
            is_intermediate={"true": True, "false": False}.get(query.get("is_intermediate", "")),
            ascending=query.get("order_dir") == "ASC",
        )

    async def page(self, request: web.Request) -> web.Response:
        limit, offset = (int(request.query.get(name, usual)) for name, usual in (("limit", 10), ("offset", 0)))
        found = self.listed(request)
        items = [image.dto() for image in found[offset : offset + min(limit, _MOST)]]
        return json_answer({"limit": limit, "offset": offset, "total": len(found), "items": items})

    async def names(self, request: web.Request) -> web.Response:
        found = self.listed(request)
        starred = sum(image.starred for image in found)
        names = [image.image_name for image in found]
        return json_answer({"image_names": names, "starred_count": starred, "total_count": len(found)})

    async def images_by_names(self, request: web.Request) -> web.Response:
        names = (await read_json(request))["image_names"]
        return json_answer([image.dto() for image in self.named(names)])

    async def dto(self, request: web.Request) -> web.Response:
        return json_answer(self.image(request).dto())

    async def metadata(self, request: web.Request) -> web.Response:
        return json_answer(msgspec.Raw((self.image(request).metadata or "null").encode()))

    async def full(self, request: web.Request) -> web.Response:
        name = self.image(request).image_name
        headers = KEEP | {"Content-Disposition": f'inline; filename="{name}"'}
        data = await asyncio.to_thread(self._images.path(name).read_bytes)
        return web.Response(body=data, content_type="image/png", headers=headers)

    async def upload(self, request: web.Request) -> web.Response:
        """Of a PNG without metadata."""
        file = (await request.post())["file"]
        if not isinstance(file, web.FileField):
            raise Problem(422, "Field required")
        return self.added(self._images.keep(file.file.read(), {}, **self.uploaded(request)))

    def added(self, image: Image) -> web.Response:
        return json_answer(image.dto(), 201, {"Location": image.image_url})

    def uploaded(self, request: web.Request) -> Json:
        """What the query says of an upload."""
        category = request.query.get("image_category", "user")
        is_intermediate = request.query.get("is_intermediate") == "true"
        return {"image_category": category, "image_origin": "external", "is_intermediate": is_intermediate}
