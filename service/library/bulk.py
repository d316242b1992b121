"""Bulk changes: one action for many photos, by their ids or by a filter."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Annotated, Final
from uuid import UUID, uuid4

import asyncpg
import msgspec
from msgspec import UNSET, Meta, UnsetType

from service.bus.bus import Bus
from service.bus.live_state import BulkChangeAction, Resource
from service.database.engine import Database
from service.errors import ValidationError
from service.library import bulk_actions
from service.library.albums import albums_by_ids
from service.library.bulk_actions import BulkValue, StoredValue
from service.library.filters import TRASHED, PhotoFilters, select
from service.library.many_changes import ManyChanges
from service.library.queries import planning, searched
from service.library.sql import Arguments
from service.library.trash import AT_ONCE as PURGED_AT_ONCE
from service.library.trash import Trash
from service.photos.retries import AT_ONCE, CAN_RETRY, retry_many

MOST_IDS: Final = 10_000
FOUND_AT_ONCE: Final = 5_000
"""Photos that a search returns at once: it is not repeated for each batch of changes."""
NOW: Final = "SELECT clock_timestamp()"

Ids = Annotated[list[UUID], Meta(max_length=MOST_IDS)]


class BulkFilter(PhotoFilters, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The filters of `GET /photos`. The order has no effect."""


class BulkChange(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Either `ids` or a `filter`. Photos of the filter that are newer than `newest_id`, or among `except_ids`, are left
    alone."""

    action: BulkChangeAction
    ids: Ids | UnsetType = UNSET
    filter: BulkFilter | UnsetType = UNSET
    newest_id: UUID | UnsetType | None = UNSET
    except_ids: Ids | UnsetType = UNSET
    value: BulkValue = UNSET
    """For `rate` 0 to 5, for `pick` pick, reject or null, for `tag` and `untag` a tag or several, for `add_to_album`
    and `remove_from_album` the album's id."""


class BulkChanged(Resource, frozen=True):
    changed: int
    undo: UUID | None
    """For `POST /undo/{undo}`. Null if nothing changed, and for purge and retry, which cannot be undone."""


@dataclass
class _Call:
    wanted: BulkChange
    value: StoredValue
    made_at: datetime
    id: UUID = field(default_factory=uuid4)
    batches: int = 0


class Bulk:
    """Changes photos in batches, each in its own transaction. A call that ends early has changed some photos wholly and
    others not at all; the same call again changes the rest."""

    def __init__(self, database: Database, bus: Bus, trash: Trash) -> None:
        self._database = database
        self._bus = bus
        self._trash = trash

    async def change(self, wanted: BulkChange) -> BulkChanged:
        """Raises ValidationError before anything has changed."""
        value = _checked(wanted)
        async with self._database.connection() as connection:
            if isinstance(value, UUID) and not await albums_by_ids(connection, [value]):
                raise ValidationError("value: there is no such album")
            call = _Call(wanted, value, await connection.fetchval(NOW))
        changes = ManyChanges(self._bus, wanted.action, id=call.id)
        try:
            async for photo_ids in self._batches(call, changes):
                await self._change_batch(call, photo_ids, changes)
        finally:
            changes.end()
            if wanted.action == "retry" and changes.changed:
                self._bus.retrieval_due()
                self._bus.ledger_changed()
        is_undoable = wanted.action not in ("purge", "retry") and changes.changed > 0
        return BulkChanged(changed=changes.changed, undo=call.id if is_undoable else None)

    async def undo(self, undo: UUID) -> int | None:
        """Undoes a change where nothing has changed the photo since, and returns how many photos that were. None if
        there is nothing to undo: it was undone already, or is too old."""
        async with self._database.connection() as connection:
            total = await connection.fetchval(bulk_actions.UNDOABLE, undo)
        if total is None:
            return None
        changes = ManyChanges(self._bus, "undo", total)
        try:
            while batch := await self._database.repeated(partial(bulk_actions.change_back, undo=undo)):
                changes.went_on(batch.photos, batch.changed)
                self._bus.changed("album.updated", batch.albums)
        finally:
            changes.end()
        return changes.changed

    async def _change_batch(self, call: _Call, photo_ids: list[UUID], changes: ManyChanges) -> None:
        action = call.wanted.action
        if action == "purge":
            await self._trash.purge(photo_ids, changes)
            return
        if action == "retry":
            changed = await self._database.repeated(partial(retry_many, photo_ids=photo_ids))
            albums: list[UUID] = []
        else:
            call.batches += 1
            changed, albums = await self._database.repeated(
                partial(
                    bulk_actions.change,
                    action=action,
                    value=call.value,
                    made_at=call.made_at,
                    photo_ids=photo_ids,
                    undo=call.id,
                    number=call.batches,
                )
            )
        changes.went_on(len(photo_ids), changed)
        self._bus.changed("album.updated", albums)

    async def _batches(self, call: _Call, changes: ManyChanges) -> AsyncIterator[list[UUID]]:
        """The batches, ordered by id, so that no photo is met twice although photos change and are added. An album gets
        named photos in their order."""
        wanted = call.wanted
        if not isinstance(wanted.ids, UnsetType):
            ids = list(dict.fromkeys(wanted.ids)) if wanted.action == "add_to_album" else sorted(set(wanted.ids))
            changes.total = len(ids)
            for batch in _cut(wanted.action, ids):
                yield batch
            return
        found = await self._find(call, None)
        changes.total = len(found) if len(found) < FOUND_AT_ONCE else await self._count(call)
        while found:
            for batch in _cut(wanted.action, found):
                yield batch
            found = await self._find(call, found[-1]) if len(found) == FOUND_AT_ONCE else []

    async def _find(self, call: _Call, after: UUID | None) -> list[UUID]:
        rows = await self._ask(call, "SELECT id", after, f"ORDER BY id LIMIT {FOUND_AT_ONCE}")
        return [row["id"] for row in rows]

    async def _count(self, call: _Call) -> int | None:
        """How many photos it will change; None for a search, which would have to run twice."""
        if isinstance(call.wanted.filter, UnsetType) or call.wanted.filter.q is not None:
            return None
        return int((await self._ask(call, "SELECT count(*)", None, ""))[0][0])

    async def _ask(self, call: _Call, what: str, after: UUID | None, rest: str) -> list[asyncpg.Record]:
        """A query for the filter's photos that the action would change."""
        wanted, arguments = call.wanted, Arguments()
        assert not isinstance(wanted.filter, UnsetType)  # noqa: S101 (for the type checker: there are no ids)
        selection = select(wanted.filter, arguments)
        conditions = [selection.where(), _affects(call, arguments)]
        if after is not None:
            conditions.append(f"id > {arguments.add(after)}")
        if wanted.newest_id:
            conditions.append(f"id <= {arguments.add(wanted.newest_id)}")
        if wanted.except_ids:
            conditions.append(f"id NOT IN (SELECT unnest({arguments.add(wanted.except_ids)}::uuid[]))")
        async with self._database.costly_connection() as connection, planning(connection, wanted.filter, selection):
            conditions.extend(await searched(connection, wanted.filter, arguments))
            query = f"{what} FROM photos WHERE {' AND '.join(conditions)} {rest}"
            return await connection.fetch(query, *arguments.values)


def _affects(call: _Call, arguments: Arguments) -> str:
    action = call.wanted.action
    if action == "purge":
        return TRASHED
    if action == "retry":
        return CAN_RETRY
    return bulk_actions.affects(action, call.value, call.made_at, arguments)


def _checked(wanted: BulkChange) -> StoredValue:
    """The action's value as it is stored. Raises ValidationError."""
    if isinstance(wanted.ids, UnsetType) == isinstance(wanted.filter, UnsetType):
        raise ValidationError("either ids or a filter")
    for name in ("newest_id", "except_ids"):
        if getattr(wanted, name) and isinstance(wanted.filter, UnsetType):
            raise ValidationError(f"{name}: only with a filter")
    return bulk_actions.checked_value(wanted.action, wanted.value)


def _cut(action: str, ids: list[UUID]) -> list[list[UUID]]:
    size = PURGED_AT_ONCE if action == "purge" else AT_ONCE
    return [ids[start : start + size] for start in range(0, len(ids), size)]
