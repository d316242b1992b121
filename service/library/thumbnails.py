"""Renditions in memory: a grid asks for the same few hundred again and again."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final, Literal, NamedTuple, TypeAlias
from uuid import UUID

CAPACITY: Final = 64 * 1024 * 1024
RenditionSize: TypeAlias = Literal["small", "large"]


class Thumbnail(NamedTuple):
    content: bytes
    etag: str


class Thumbnails:
    """The most recently asked for, up to `capacity` bytes. A purge must `drop` its photos once their files are gone."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._kept: OrderedDict[tuple[UUID, RenditionSize], Thumbnail] = OrderedDict()
        self._bytes = 0
        self.drops = 0
        """How often anything was dropped: what was read from the disk before must not be kept afterwards."""

    def get(self, photo_id: UUID, size: RenditionSize) -> Thumbnail | None:
        found = self._kept.get((photo_id, size))
        if found is not None:
            self._kept.move_to_end((photo_id, size))
        return found

    def put(self, photo_id: UUID, size: RenditionSize, content: bytes, *, drops: int) -> Thumbnail:
        """Keeps it, in place of those asked for longest ago; `drops` is from before it was read."""
        thumbnail = Thumbnail(content, f'"{hashlib.blake2b(content, digest_size=12).hexdigest()}"')
        if drops != self.drops:
            return thumbnail
        self._remove(photo_id, size)
        self._kept[photo_id, size] = thumbnail
        self._bytes += len(content)
        while self._bytes > self._capacity:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= len(oldest.content)
        return thumbnail

    def drop(self, photo_ids: Iterable[UUID]) -> None:
        self.drops += 1
        for photo_id in photo_ids:
            self._remove(photo_id, "small")
            self._remove(photo_id, "large")

    def _remove(self, photo_id: UUID, size: RenditionSize) -> None:
        gone = self._kept.pop((photo_id, size), None)
        if gone is not None:
            self._bytes -= len(gone.content)
