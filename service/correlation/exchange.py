"""Entries for the consumer's inbox of one backend, and requests for readings of its queue and gallery."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from service.correlation.gallery import Gallery
from service.steps.item_state import Absence, Key, Reading

SOON = 2.0
"""Seconds in which any number of batches enqueued by others lead to one reading."""
MOST_ASKED = 1000
"""Items asked for one by one; beyond it everything is read."""


# --- entries of the consumer's inbox, which are applied in order ---


class SocketEvent(msgspec.Struct, frozen=True):
    """An event as it came from the socket. The consumer decodes it when its turn comes."""

    name: str
    payload: bytes
    connection: int = 0
    """The number of the connection that brought it."""


class ItemAbsence(msgspec.Struct, frozen=True):
    batch_id: str
    item_id: int
    absence: Absence


class UnseenItems(msgspec.Struct, frozen=True):
    """Items that a batch of ours should have and that no complete reading showed; they are absent like any other
    (derived step status)."""

    batch_id: str
    ordinals: tuple[int, ...]
    absence: Absence


class ForeignGone(msgspec.Struct, frozen=True):
    """Other people's items, shown as live when a reading began, that it did not find: no event told of their end."""

    keys: frozenset[Key]


class Barrier(msgspec.Struct, frozen=True):
    """Set once everything before it has been applied."""

    reached: asyncio.Event


Entry = SocketEvent | Reading | ItemAbsence | UnseenItems | ForeignGone | Barrier


# --- requests ---


@dataclass(frozen=True)
class Wanted:
    """What the next reading of the queue covers; false if nothing."""

    everything: bool = False
    items: frozenset[int] = frozenset()
    reconnected: bool = False
    """Events may have been missed since the last one."""

    def __bool__(self) -> bool:
        return self.everything or bool(self.items)

    def __or__(self, other: Wanted) -> Wanted:
        items = self.items | other.items
        everything = self.everything or other.everything or len(items) > MOST_ASKED
        return Wanted(everything, frozenset() if everything else items, self.reconnected or other.reconnected)


class ReadingRequests:
    """Asks for readings of the queue, and of the gallery with it (events are hints). Every call returns at once."""

    def __init__(self, gallery: Gallery) -> None:
        self.wanted = Wanted()
        """Requests that are not read yet."""
        self.asked = asyncio.Event()
        self.back = asyncio.Event()
        """The server is back: no reason to wait any longer."""
        self._gallery = gallery
        self._soon: asyncio.TimerHandle | None = None

    def want(self, more: Wanted) -> None:
        self.wanted |= more
        self.asked.set()

    def items(self, item_ids: Sequence[int]) -> None:
        """Asks for some items."""
        self.want(Wanted(items=frozenset(item_ids)))

    def queue(self) -> None:
        self.want(Wanted(everything=True))

    def queue_soon(self) -> None:
        """Asks for the queue within SOON, at most once in that time."""
        loop = asyncio.get_running_loop()
        if self._soon is None or self._soon.when() <= loop.time():
            self._soon = loop.call_later(SOON, self.queue)

    def everything(self) -> None:
        """Asks for queue and gallery."""
        self.queue()
        self._gallery.request()

    def reconnected(self) -> None:
        """Events may have been missed: asks for everything. Ends found now were announced to nobody."""
        self.back.set()
        self.want(Wanted(everything=True, reconnected=True))
        self._gallery.request(thoroughly=True)
