"""Where the feed's resources come from: the same reads that answer REST."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from service.backends.registry import Registry
from service.database.engine import Database
from service.library.albums import albums_by_ids
from service.library.queries import photos_by_ids
from service.library.thumbnails import Thumbnails
from service.live.announce import Readers
from service.live.hub import Hub
from service.live.messages import Hello
from service.studio.queries import live_steps, sessions_by_ids, steps_by_ids


def readers(database: Database, registry: Callable[[], Registry], thumbnails: Callable[[], Thumbnails]) -> Readers:
    """How the announcer reads whole resources."""

    def reader(read: Callable[..., Awaitable[Mapping[UUID, Any]]], *more: Callable[[], Any]) -> Any:
        async def by_ids(ids: Sequence[UUID]) -> Mapping[UUID, Any]:
            async with database.connection() as connection:
                return await read(connection, ids, *(argument() for argument in more))

        return by_ids

    return Readers(
        photos=reader(photos_by_ids, thumbnails),
        steps=reader(steps_by_ids, lambda: registry().item_progress, thumbnails),
        sessions=reader(sessions_by_ids),
        albums=reader(albums_by_ids),
        ledger=lambda: registry().ledger(),
    )


async def snapshot(database: Database, hub: Hub, registry: Registry) -> Hello:
    """What a browser is told first, and one without a feed again and again."""
    hub.visited()
    async with database.connection() as connection:
        steps = await live_steps(connection, registry.item_progress)
    backends, ledger = await registry.resources_and_ledger()
    return Hello(
        epoch=hub.epoch,
        version=hub.version,
        backends=backends,
        steps=steps,
        items=registry.live_items(),
        ledger=ledger,
    )
