"""Proof that everything a pod's InvokeAI made is home, by readings that begin after submissions were held."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final
from uuid import UUID

import msgspec

from service.backends.connection import BackendConnection
from service.backends.home import was_read
from service.backends.ledger import EMPTY
from service.backends.registry import Registry
from service.bus.live_state import BackendLedger
from service.database.engine import Database
from service.errors import InvokeError
from service.pods.rows import unsent_pictures

READ_WITHIN: Final = 180.0
"""Seconds for the readings of its queue and gallery."""
TICK: Final = 0.1
QUEUE_TIMEOUT: Final = 15.0


class NotHome(msgspec.Struct, frozen=True):
    """Not proved. `words` say why in one line. `certain`: something is known not to be home, or not to be finished."""

    words: str
    certain: bool


class Interrupted(msgspec.Struct, frozen=True):
    """The look was ended early: it proves nothing."""


async def look_home(
    registry: Registry, database: Database, backend_id: UUID, *, interrupted: Callable[[], bool]
) -> NotHome | Interrupted | None:
    """None when everything is home. What was never sent has no images. Call it while submissions are held.
    `interrupted` ends the look early."""
    began = time.monotonic()
    connection = registry.get(backend_id)
    if connection is None or connection.state != "connected":
        return NotHome("InvokeAI cannot be reached, so it is not known whether everything is home", certain=False)
    missing = await _read(registry, connection, began, interrupted) or await _still_in_queue(connection)
    if missing is not None:
        return missing
    async with database.connection() as database_connection:
        unsent = await unsent_pictures(database_connection, backend_id)
    if not is_quiet(connection):
        return NotHome("something happened there while it was read", certain=False)
    return _judged((await registry.ledger()).backends.get(str(backend_id), EMPTY), unsent)


def is_quiet(connection: BackendConnection | None) -> bool:
    """It is connected, and no sign of work came since its last complete readings of queue and gallery began."""
    return connection is not None and was_read(msgspec.structs.replace(connection.read_state, mirrors=True))


async def _read(
    registry: Registry, connection: BackendConnection, began: float, interrupted: Callable[[], bool]
) -> NotHome | Interrupted | None:
    """Reads its queue and its gallery. The gallery is read even if only our own images are mirrored: an image of ours
    may be found only there."""
    connection.requests.everything()
    while not all(reading is not None and reading > began for reading in _readings(connection)):
        if interrupted():
            return Interrupted()
        if registry.get(connection.backend_id) is not connection or connection.state != "connected":
            return NotHome("InvokeAI was lost while its queue and gallery were read", certain=False)
        if time.monotonic() - began > READ_WITHIN:
            return NotHome("its queue and gallery could not be read to the end", certain=False)
        await asyncio.sleep(TICK)
    return None


def _readings(connection: BackendConnection) -> tuple[float | None, float | None]:
    """When the last complete readings began."""
    return connection.queue_reader.read_from, connection.gallery.read_from


async def _still_in_queue(connection: BackendConnection) -> NotHome | None:
    """Whether its queue has items of anybody."""
    try:
        async with asyncio.timeout(QUEUE_TIMEOUT):
            status = await connection.client.queue_status()
    except (InvokeError, TimeoutError):
        return NotHome("InvokeAI did not tell what is in its queue", certain=False)
    tracking = connection.tracking
    items = max(status.pending + status.in_progress, tracking.foreign_live, tracking.ours_live)
    return NotHome(f"{_count(items, 'item is', 'items are')} in its queue", certain=True) if items else None


def _judged(ledger: BackendLedger, unsent: int) -> NotHome | None:
    if ledger.waiting:
        return NotHome(f"{_count(ledger.waiting, 'photo is', 'photos are')} still to be brought home", certain=True)
    if ledger.failed:
        return NotHome(f"{_count(ledger.failed, 'photo', 'photos')} could not be brought home", certain=True)
    to_come = ledger.expected - ledger.made - unsent
    if to_come > 0:
        return NotHome(f"{_count(to_come, 'picture is', 'pictures are')} still expected from it", certain=True)
    return None


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
