"""What the owner does to many photos at once: to those named, or to all that a list shows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Annotated, Final
from uuid import UUID, uuid4

import asyncpg
import msgspec
from msgspec import UNSET, Meta, UnsetType

from service.database.engine import Database
from service.errors import ValidationError
from service.library import bulk_actions
from service.library.albums import albums_by_ids
from service.library.bulk_actions import Given, Value
from service.library.filters import TRASHED, PhotoFilters, select
from service.library.queries import planning, searched
from service.library.sql import Arguments
from service.library.trash import AT_ONCE as PURGED_AT_ONCE
from service.library.trash import Trash
from service.live.announce import Announcer
from service.live.many_changes import ManyChanges
from service.live.messages import BulkChangeAction, Resource
from service.retrieval.retries import AT_ONCE, CAN_RETRY, retry_many

MOST_IDS: Final = 10_000
FOUND_AT_ONCE: Final = 5_000
"""A search is not asked anew for each batch of changes."""
NOW: Final = "SELECT clock_timestamp()"

Ids = Annotated[list[UUID], Meta(max_length=MOST_IDS)]


class BulkFilter(PhotoFilters, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """As in `GET /photos`; the order says nothing here."""


class BulkChange(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Either `ids` or a `filter`. Of the filter's photos those no newer than `newest_id` and not among `except_ids`."""

    action: BulkChangeAction
    ids: Ids | UnsetType = UNSET
    filter: BulkFilter | UnsetType = UNSET
    newest_id: UUID | UnsetType | None = UNSET
    except_ids: Ids | UnsetType = UNSET
    value: Given = UNSET
    """Of `rate` 0 to 5, of `pick` pick, reject or null, of `tag` and `untag` a tag or several, of
    `add_to_album` and `remove_from_album` the album's id."""


class BulkChanged(Resource, frozen=True):
    changed: int
    undo: UUID | None
    """For `POST /undo/{undo}`; null where nothing changed, and for what cannot be undone: purge and retry."""


@dataclass
class _Call:
    wanted: BulkChange
    value: Value
    made_at: datetime
    id: UUID = field(default_factory=uuid4)
    batches: int = 0


class Bulk:
    """Each batch is a transaction of its own: a call that ends early has changed some photos wholly, others not at all,
    and sent again it changes the rest."""

    def __init__(
        self, database: Database, announcer: Announcer, trash: Trash, wake_retrieval: Callable[[], None]
    ) -> None:
        self._database = database
        self._announcer = announcer
        self._trash = trash
        self._wake_retrieval = wake_retrieval

    async def change(self, wanted: BulkChange) -> BulkChanged:
        """Raises ValidationError before anything has changed."""
        value = _checked(wanted)
        async with self._database.connection() as connection:
            if isinstance(value, UUID) and not await albums_by_ids(connection, [value]):
                raise ValidationError("value: there is no such album")
            call = _Call(wanted, value, await connection.fetchval(NOW))
        changes = ManyChanges(self._announcer, wanted.action, id=call.id)
        try:
            async for photo_ids in self._batches(call, changes):
                await self._change_batch(call, photo_ids, changes)
        finally:
            changes.end()
            if wanted.action == "retry" and changes.changed:
                self._wake_retrieval()
                self._announcer.ledger_changed()
        is_undoable = wanted.action not in ("purge", "retry") and changes.changed > 0
        return BulkChanged(changed=changes.changed, undo=call.id if is_undoable else None)

    async def undo(self, undo: UUID) -> int | None:
        """Gives photos back what a change took, where nothing has changed it since; how many. None when there is
        nothing to undo: it was undone, or is too long ago."""
        async with self._database.connection() as connection:
            total = await connection.fetchval(bulk_actions.UNDOABLE, undo)
        if total is None:
            return None
        changes = ManyChanges(self._announcer, "undo", total)
        try:
            while batch := await self._database.repeated(partial(bulk_actions.change_back, undo=undo)):
                changes.went_on(batch.photos, batch.changed)
                self._announcer.albums_updated(batch.albums)
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
        self._announcer.albums_updated(albums)

    async def _batches(self, call: _Call, changes: ManyChanges) -> AsyncIterator[list[UUID]]:
        """Ordered by id, so that no photo is met twice although photos change and arrive. An album gets those that are
        named in their order."""
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
        """None for a search: it would have to be done twice."""
        if isinstance(call.wanted.filter, UnsetType) or call.wanted.filter.q is not None:
            return None
        return int((await self._ask(call, "SELECT count(*)", None, ""))[0][0])

    async def _ask(self, call: _Call, what: str, after: UUID | None, rest: str) -> list[asyncpg.Record]:
        """Of the filter's photos those that the action would change."""
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
        async with self._database.connection() as connection, planning(connection, wanted.filter, selection):
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


def _checked(wanted: BulkChange) -> Value:
    """The value as it is stored. Raises ValidationError."""
    if isinstance(wanted.ids, UnsetType) == isinstance(wanted.filter, UnsetType):
        raise ValidationError("either ids or a filter")
    for name in ("newest_id", "except_ids"):
        if getattr(wanted, name) and isinstance(wanted.filter, UnsetType):
            raise ValidationError(f"{name}: only with a filter")
    return bulk_actions.checked_value(wanted.action, wanted.value)


def _cut(action: str, ids: list[UUID]) -> list[list[UUID]]:
    size = PURGED_AT_ONCE if action == "purge" else AT_ONCE
    return [ids[start : start + size] for start in range(0, len(ids), size)]
