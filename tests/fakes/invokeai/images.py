"""The gallery with what Darkroom never asks for: boards, stars, deleting (FACTS §4, §7)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from service.demo import png
from service.demo.answers import stamp
from service.demo.images import Image, Images
from service.demo.png import Pixels
from service.demo.store import Store
from tests.fakes.invokeai.pictures import read_texts, thumbnail

__all__ = ["CATEGORIES", "FullImages", "Image"]

CATEGORIES = ("general", "mask", "control", "user", "other")


class FullImages(Images):
    def get(self, name: str) -> Image:
        return self._by_name[name]

    def select(
        self,
        *,
        categories: Collection[str] = (),
        is_intermediate: bool | None = None,
        ascending: bool = False,
        search_term: str = "",
        origin: str | None = None,
        board_id: str | None = None,
        starred_first: bool = True,
    ) -> list[Image]:
        """As `GET /images/`; `board_id` "none" is what lies on no board."""
        board, term = None if board_id == "none" else board_id, search_term.lower()
        found = [
            image
            for image in super().select(categories=categories, is_intermediate=is_intermediate, ascending=ascending)
            if origin in (None, image.image_origin)
            and (board_id is None or image.board_id == board)
            and (term in (image.metadata or "").lower() or term in image.created_at)
        ]
        if starred_first:
            found.sort(key=lambda image: not image.starred)
        return found

    def thumbnail_path(self, name: str) -> Path:
        return self.folder / "thumbnails" / f"{Path(name).stem}.webp"

    def encode(self, pixels: Pixels, texts: Mapping[str, str]) -> tuple[bytes, bytes]:
        """File and thumbnail."""
        return png.encode_png(pixels, texts), thumbnail(pixels)

    def add(self, data: bytes, thumbnail: bytes, **fields: Any) -> Image:
        """The PNG's own text chunks are its metadata and workflow."""
        image = self.keep(data, read_texts(data), **fields)
        self.keep_thumbnail(image, thumbnail)
        return image

    def keep_thumbnail(self, image: Image, content: bytes) -> None:
        path = self.thumbnail_path(image.image_name)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)

    def update(self, image: Image, **changes: Any) -> None:
        """Changes a record. Times after some updates have no milliseconds (FACTS §7)."""
        for name, value in changes.items():
            setattr(image, name, value)
        image.updated_at = stamp(self._now())[:-4]
        self.save(image)

    def remove(self, names: Iterable[str]) -> list[Image]:
        """The images that were there; unknown names are not an error."""
        gone = [image for name in names if (image := self._by_name.pop(name, None))]
        remove(self._store, "images", [image.image_name for image in gone])
        for image in gone:
            self.path(image.image_name).unlink(missing_ok=True)
            self.thumbnail_path(image.image_name).unlink(missing_ok=True)
        return gone


def remove(store: Store, kind: str, keys: Iterable[Any]) -> None:
    store.write("DELETE FROM records WHERE kind = ? AND key = ?", ((kind, key) for key in keys))
