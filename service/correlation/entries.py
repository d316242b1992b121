"""What goes through a backend's queue, in order: socket events, readings, and what readings lacked."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from service.correlation.correlate import Absence
from service.invokeai.events import ItemSummary, QueueItem

Key = tuple[str, int]
"""Batch and item id: item ids restart with a new InvokeAI database."""


class SocketEvent(msgspec.Struct, frozen=True):
    """As it came off the socket; decoded in turn, not in the handler."""

    name: str
    payload: Any
    connection: int = 0
    """Which of our connections it came by."""


class ItemReading(msgspec.Struct, frozen=True):
    """An item as REST told it; a summary only moves foreign items."""

    item: QueueItem | ItemSummary
    across_reconnect: bool = False
    """The first after a time without events."""


class ItemAbsence(msgspec.Struct, frozen=True):
    batch_id: str
    item_id: int
    absence: Absence


class UnseenItems(msgspec.Struct, frozen=True):
    """Items a batch of ours should have and no complete reading showed; they are absent like any other (rule 8)."""

    batch_id: str
    ordinals: tuple[int, ...]
    absence: Absence


class ForeignGone(msgspec.Struct, frozen=True):
    """Other people's items, shown as live when a reading began, that it did not find: they went without a word."""

    keys: frozenset[Key]


class Mark(msgspec.Struct, frozen=True):
    """Set once everything before it has been applied."""

    reached: asyncio.Event


Entry = SocketEvent | ItemReading | ItemAbsence | UnseenItems | ForeignGone | Mark
