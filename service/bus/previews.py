"""Keeps the newest preview of each running item in memory. It is served by URL, so that the feed stays small."""

from __future__ import annotations

import base64
import binascii
from collections import OrderedDict
from typing import Final, NamedTuple
from uuid import UUID

from service.config.base_path import own_address

MOST_PREVIEWS: Final = 256
MOST_BYTES: Final = 64 * 2**20
LARGEST: Final = 8 * 2**20
JPEG_MAGIC: Final = b"\xff\xd8\xff"


class Preview(NamedTuple):
    version: int
    jpeg: bytes


class Previews:
    """Previews, bounded by count and bytes. The one that was renewed longest ago is dropped first."""

    def __init__(self, *, most: int = MOST_PREVIEWS, most_bytes: int = MOST_BYTES) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._bytes = 0
        self._version = 0
        self._previews: OrderedDict[tuple[UUID, int], Preview] = OrderedDict()

    def put(self, backend_id: UUID, item_id: int, image: str | bytes) -> int:
        """Keeps a JPEG (bytes, or InvokeAI's `data:image/jpeg;base64,…`) and returns its version. Raises ValueError for
        anything else."""
        jpeg = _from_data_url(image) if isinstance(image, str) else image
        if not jpeg.startswith(JPEG_MAGIC) or len(jpeg) > LARGEST:
            raise ValueError("the preview is not a JPEG of a reasonable size")
        self.drop(backend_id, item_id)
        self._version += 1
        self._previews[backend_id, item_id] = Preview(self._version, jpeg)
        self._bytes += len(jpeg)
        while len(self._previews) > self._most or self._bytes > self._most_bytes:
            _, oldest = self._previews.popitem(last=False)
            self._bytes -= len(oldest.jpeg)
        return self._version

    def get(self, backend_id: UUID, item_id: int) -> Preview | None:
        return self._previews.get((backend_id, item_id))

    def drop(self, backend_id: UUID, item_id: int) -> None:
        """Drops an item's preview. Does nothing if there is none."""
        preview = self._previews.pop((backend_id, item_id), None)
        if preview is not None:
            self._bytes -= len(preview.jpeg)


def preview_url(backend_id: UUID, item_id: int, version: int) -> str:
    return own_address(f"/api/v1/previews/{backend_id}/{item_id}?v={version}")


def _from_data_url(url: str) -> bytes:
    header, comma, body = url.partition(",")
    if not comma or not header.startswith("data:image/jpeg") or not header.endswith(";base64"):
        raise ValueError("the preview is not a base64 data URL of a JPEG")
    try:
        return base64.b64decode(body, validate=True)
    except binascii.Error as error:
        raise ValueError("the preview's base64 is broken") from error
