"""Readers of the feed's resources: the same reads that answer REST."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from service.api.resources import Hello
from service.backends.registry import Registry
from service.backends.resources import resources, resources_and_ledger
from service.database.engine import Database
from service.library.albums import albums_by_ids
from service.library.queries import photos_by_ids
from service.library.thumbnails import Thumbnails
from service.live.announce import Readers
from service.live.hub import Hub
from service.studio.queries import live_steps, sessions_by_ids, steps_by_ids


def readers(database: Database, registry: Registry, thumbnails: Thumbnails) -> Readers:
    """The readers of whole resources, for the Announcer."""

    def reader(read: Callable[..., Awaitable[Mapping[UUID, Any]]], *more: Any) -> Any:
        async def by_ids(ids: Sequence[UUID]) -> Mapping[UUID, Any]:
            async with database.connection() as connection:
                return await read(connection, ids, *more)

        return by_ids

    return Readers(
        photos=reader(photos_by_ids, thumbnails),
        steps=reader(steps_by_ids, registry.item_progress, thumbnails),
        sessions=reader(sessions_by_ids),
        albums=reader(albums_by_ids),
        ledger=registry.ledger,
        backends=lambda: resources(database, registry),
    )


async def snapshot(database: Database, hub: Hub, registry: Registry) -> Hello:
    """The snapshot of a feed's `hello` message."""
    hub.visited()
    async with database.connection() as connection:
        steps = await live_steps(connection, registry.item_progress)
    backends, ledger = await resources_and_ledger(database, registry)
    return Hello(
        epoch=hub.epoch,
        version=hub.version,
        backends=backends,
        steps=steps,
        items=registry.live_items(),
        ledger=ledger,
    )
