"""The demo's gallery: image records, their files, and the forms REST shows them in (FACTS §4, §7)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from service.demo import png
from service.demo.clock import new_id, stamp
from service.demo.png import Pixels
from service.demo.store import Store

Json = dict[str, Any]

CATEGORIES = ("general", "mask", "control", "user", "other")


class ImageNotFoundError(Exception):
    """No record of that name."""


@dataclass
class Image:
    image_name: str
    image_origin: str
    image_category: str
    width: int
    height: int
    created_at: str
    updated_at: str
    is_intermediate: bool
    session_id: str | None
    node_id: str | None
    has_workflow: bool
    user_id: str
    starred: bool = False
    board_id: str | None = None
    metadata: str | None = None

    def dto(self) -> Json:
        url = f"api/v1/images/i/{self.image_name}"
        return {
            "image_name": self.image_name,
            "image_url": f"{url}/full",
            "thumbnail_url": f"{url}/thumbnail",
            "image_origin": self.image_origin,
            "image_category": self.image_category,
            "width": self.width,
            "height": self.height,
            "created_at": self.created_at,
            "updated_at": self.updated_at,
            "deleted_at": None,
            "is_intermediate": self.is_intermediate,
            "session_id": self.session_id,
            "node_id": self.node_id,
            "starred": self.starred,
            "has_workflow": self.has_workflow,
            "image_subfolder": "",
            "board_id": self.board_id,
        }


@dataclass(frozen=True)
class Source:
    """Where a new image comes from; the defaults are an image a node made."""

    category: str = "general"
    origin: str = "internal"
    is_intermediate: bool = False
    session_id: str | None = None
    node_id: str | None = None
    board_id: str | None = None
    user_id: str = "system"
    created_at: str | None = None


@dataclass(frozen=True)
class Filter:
    """The query of `GET /images/`; `board_id` "none" is what lies on no board."""

    origin: str | None = None
    categories: tuple[str, ...] = ()
    is_intermediate: bool | None = None
    board_id: str | None = None
    search_term: str | None = None
    starred_first: bool = True
    ascending: bool = False

    def takes(self, image: Image) -> bool:
        board_id = None if self.board_id == "none" else self.board_id
        return (
            (self.origin is None or image.image_origin == self.origin)
            and (not self.categories or image.image_category in self.categories)
            and (self.is_intermediate is None or image.is_intermediate == self.is_intermediate)
            and (self.board_id is None or image.board_id == board_id)
            and (self.search_term is None or self._found_in(image))
        )

    def _found_in(self, image: Image) -> bool:
        term = (self.search_term or "").lower()
        return term in (image.metadata or "").lower() or term in image.created_at


class Images:
    """Records in the store, files under `outputs/images`, both written before anyone hears of the image (FACTS §4)."""

    def __init__(self, store: Store, folder: Path, now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now
        self.folder = folder / "outputs" / "images"
        self._thumbnails = self.folder / "thumbnails"
        self._thumbnails.mkdir(parents=True, exist_ok=True)
        self._by_name = {row["image_name"]: Image(**row) for row in store.rows("images")}

    def get(self, name: str) -> Image:
        try:
            return self._by_name[name]
        except KeyError:
            raise ImageNotFoundError(name) from None

    def find(self, name: str) -> Image | None:
        return self._by_name.get(name)

    def select(self, wanted: Filter, visible: Callable[[Image], bool] | None = None) -> list[Image]:
        """Newest first unless the filter says otherwise; of one millisecond, the later added counts as newer."""
        found = [image for image in self._by_name.values() if wanted.takes(image)]
        if visible is not None:
            found = [image for image in found if visible(image)]
        if not wanted.ascending:
            found.reverse()
        found.sort(key=lambda image: image.created_at, reverse=not wanted.ascending)
        if wanted.starred_first:
            found.sort(key=lambda image: not image.starred)
        return found

    def path(self, name: str) -> Path:
        return self.folder / name

    def thumbnail_path(self, name: str) -> Path:
        return self._thumbnails / f"{Path(name).stem}.webp"

    def encode(self, pixels: Pixels, texts: Mapping[str, str]) -> tuple[bytes, bytes]:
        """File and thumbnail. CPU work: call it in a thread."""
        return png.encode_png(pixels, texts), png.thumbnail(pixels)

    def add(self, data: bytes, thumbnail: bytes, source: Source, *, name: str | None = None) -> Image:
        """Files first, then the record. The PNG's own text chunks are its metadata and workflow."""
        name = name or f"{new_id()}.png"
        texts = png.read_texts(data)
        width, height = int.from_bytes(data[16:20]), int.from_bytes(data[20:24])
        at = source.created_at or stamp(self._now())
        image = Image(
            image_name=name,
            image_origin=source.origin,
            image_category=source.category,
            width=width,
            height=height,
            created_at=at,
            updated_at=at,
            is_intermediate=source.is_intermediate,
            session_id=source.session_id,
            node_id=source.node_id,
            has_workflow="invokeai_graph" in texts or "invokeai_workflow" in texts,
            user_id=source.user_id,
            board_id=source.board_id,
            metadata=texts.get("invokeai_metadata"),
        )
        self.save(image)  # before the file is there (FACTS §10)
        self.path(name).write_bytes(data)
        self.thumbnail_path(name).write_bytes(thumbnail)
        return image

    def save(self, image: Image) -> None:
        self._by_name[image.image_name] = image
        self._store.put("images", image.image_name, asdict(image))

    def update(self, image: Image, **changes: Any) -> None:
        """Changes a record. Times after some updates have no milliseconds (FACTS §7)."""
        for name, value in changes.items():
            setattr(image, name, value)
        image.updated_at = stamp(self._now())[:-4]
        self.save(image)

    def remove(self, names: Iterable[str]) -> list[Image]:
        """The images that were there; unknown names are not an error."""
        gone = [image for name in names if (image := self._by_name.pop(name, None))]
        self._store.remove("images", [image.image_name for image in gone])
        for image in gone:
            self.path(image.image_name).unlink(missing_ok=True)
            self.thumbnail_path(image.image_name).unlink(missing_ok=True)
        return gone

    def metadata(self, image: Image) -> Json | None:
        return msgspec.json.decode(image.metadata) if image.metadata else None

    def pixels(self, name: str) -> Pixels:
        """Decodes the file. CPU work: call it in a thread."""
        self.get(name)
        return png.decode(self.path(name).read_bytes())
