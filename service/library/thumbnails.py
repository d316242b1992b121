"""A cache of renditions in memory, and of the places of others.

A grid asks for the same few hundred again and again.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final, Literal, NamedTuple, TypeAlias
from uuid import UUID

from service.bus.bus import Bus

CAPACITY: Final = 64 * 1024 * 1024
PLACES: Final = 20_000
"""Some 10 MB."""
RenditionSize: TypeAlias = Literal["small", "large"]


class Thumbnail(NamedTuple):
    content: bytes
    etag: str

    @classmethod
    def of(cls, content: bytes) -> Thumbnail:
        """Makes the cache's entry. CPU work: call it in a thread if possible."""
        return cls(content, f'"{hashlib.sha256(content).hexdigest()[:24]}"')


class Place(NamedTuple):
    """The paths of the renditions of a photo that is home."""

    original: str
    thumbnail: str
    has_large: bool


class Thumbnails:
    """Keeps the most recently requested renditions, up to `capacity` bytes, and the places of the most recently listed
    photos. Photos that are purged, or no longer home, are dropped."""

    def __init__(self, bus: Bus, capacity: int = CAPACITY, places: int = PLACES) -> None:
        self._capacity = capacity
        self._most_places = places
        self._places: OrderedDict[UUID, Place] = OrderedDict()
        self._kept: OrderedDict[tuple[UUID, RenditionSize], Thumbnail] = OrderedDict()
        self._bytes = 0
        self.drops = 0
        """How often something was dropped: what was read from the disk before must not be kept afterwards."""
        bus.files_gone.listen(self.drop)

    def get(self, photo_id: UUID, size: RenditionSize) -> Thumbnail | None:
        found = self._kept.get((photo_id, size))
        if found is not None:
            self._kept.move_to_end((photo_id, size))
        return found

    def put(self, photo_id: UUID, size: RenditionSize, thumbnail: Thumbnail, *, drops: int) -> Thumbnail:
        """Keeps a rendition, in place of the least recently requested. `drops` is from before it was read."""
        if drops != self.drops:
            return thumbnail
        self._remove(photo_id, size)
        self._kept[photo_id, size] = thumbnail
        self._bytes += len(thumbnail.content)
        while self._bytes > self._capacity:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= len(oldest.content)
        return thumbnail

    def place(self, photo_id: UUID) -> Place | None:
        return self._places.get(photo_id)

    def learn(self, photo_id: UUID, place: Place, *, drops: int) -> None:
        """Keeps a place. `drops` is from before the database was asked."""
        if drops != self.drops:
            return
        self._places[photo_id] = place
        self._places.move_to_end(photo_id)
        if len(self._places) > self._most_places:
            self._places.popitem(last=False)

    def drop(self, photo_ids: Iterable[UUID]) -> None:
        self.drops += 1
        for photo_id in photo_ids:
            self._remove(photo_id, "small")
            self._remove(photo_id, "large")
            self._places.pop(photo_id, None)

    def _remove(self, photo_id: UUID, size: RenditionSize) -> None:
        gone = self._kept.pop((photo_id, size), None)
        if gone is not None:
            self._bytes -= len(gone.content)
