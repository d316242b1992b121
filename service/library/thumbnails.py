"""Thumbnails in memory: a grid asks for the same few hundred again and again."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable
from typing import NamedTuple
from uuid import UUID

CAPACITY = 64 * 1024 * 1024


class Thumbnail(NamedTuple):
    content: bytes
    etag: str


class Thumbnails:
    """The most recently asked for, up to `capacity` bytes. A purge must `drop` its photos once their files are gone."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._kept: OrderedDict[UUID, Thumbnail] = OrderedDict()
        self._bytes = 0

    def get(self, photo_id: UUID) -> Thumbnail | None:
        found = self._kept.get(photo_id)
        if found is not None:
            self._kept.move_to_end(photo_id)
        return found

    def put(self, photo_id: UUID, content: bytes) -> Thumbnail:
        """Keeps it, in place of those asked for longest ago."""
        self.drop([photo_id])
        thumbnail = Thumbnail(content, f'"{hashlib.blake2b(content, digest_size=12).hexdigest()}"')
        self._kept[photo_id] = thumbnail
        self._bytes += len(content)
        while self._bytes > self._capacity:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= len(oldest.content)
        return thumbnail

    def drop(self, photo_ids: Iterable[UUID]) -> None:
        for photo_id in photo_ids:
            gone = self._kept.pop(photo_id, None)
            if gone is not None:
                self._bytes -= len(gone.content)
