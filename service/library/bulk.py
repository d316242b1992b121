"""What the owner does to many photos at once: those named, or all that a list shows."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from service.database.engine import Database
from service.errors import ValidationError
from service.library.filters import PhotoFilters, select
from service.library.queries import planning, searched
from service.library.sql import Arguments
from service.live.announce import Announcer
from service.live.messages import Resource
from service.retrieval.retries import AT_ONCE, CAN_RETRY, retry_many

MOST_IDS = 10_000


class BulkFilter(PhotoFilters, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """As in `GET /photos`; the order says nothing here."""


class BulkChange(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Either `ids` or a `filter`; of the filter's photos those no newer than `newest_id`, where it is given."""

    action: Literal["retry"]
    ids: Annotated[list[UUID], Meta(max_length=MOST_IDS)] | UnsetType = UNSET
    filter: BulkFilter | UnsetType = UNSET
    newest_id: UUID | UnsetType | None = UNSET


class BulkChanged(Resource, frozen=True):
    changed: int
    undo: None = None
    """What was retried cannot be undone."""


async def retry(database: Database, announcer: Announcer, wanted: BulkChange) -> int:
    """Each batch in a transaction of its own; how many are tried again. Raises ValidationError."""
    ids, filters = wanted.ids, wanted.filter
    if isinstance(ids, UnsetType) == isinstance(filters, UnsetType):
        raise ValidationError("either ids or a filter")
    if not isinstance(ids, UnsetType):
        if wanted.newest_id:
            raise ValidationError("newest_id: only with a filter")
        distinct = sorted(set(ids))
        pieces = [distinct[start : start + AT_ONCE] for start in range(0, len(distinct), AT_ONCE)]
        return sum([await _retry(database, announcer, piece) for piece in pieces])
    assert not isinstance(filters, UnsetType)  # noqa: S101 (for the type checker: one of them is given)
    changed, after = 0, UUID(int=0)
    while found := await _find(database, filters, after, wanted.newest_id or None):
        changed += await _retry(database, announcer, found)
        after = found[-1]
    return changed


async def _find(database: Database, filters: PhotoFilters, after: UUID, newest: UUID | None) -> list[UUID]:
    """The next of them behind `after`: what fails again meanwhile is not met twice."""
    arguments = Arguments()
    selection = select(filters, arguments)
    conditions = [CAN_RETRY, f"id > {arguments.add(after)}"]
    if newest is not None:
        conditions.append(f"id <= {arguments.add(newest)}")
    async with database.connection() as connection, planning(connection, filters, selection):
        selection.conditions.extend(await searched(connection, filters, arguments))
        where = " AND ".join([selection.where(), *conditions])
        query = f"SELECT id FROM photos WHERE {where} ORDER BY id LIMIT {AT_ONCE}"
        return [row["id"] for row in await connection.fetch(query, *arguments.values)]


async def _retry(database: Database, announcer: Announcer, photo_ids: list[UUID]) -> int:
    async with database.transaction() as connection:
        retried = await retry_many(connection, photo_ids)
    announcer.photos_updated(retried)
    return len(retried)
