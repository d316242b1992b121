"""Sessions and steps as the API and the feed show them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from service.api.resources import Photo, Session, SessionDetail, Step
from service.bus.live_state import Item, Progress, Resource
from service.database.engine import Connection
from service.errors import NotFound
from service.library import cursor as cursors
from service.library.cursor import Position
from service.library.queries import photos_by_ids
from service.library.sql import ANY_ID
from service.library.thumbnails import Thumbnails

ProgressOf = Callable[[UUID, int], Progress | None]
"""The live progress of a backend's item, which no table has."""

LIVE_ITEM = frozenset({"pending", "in_progress", "waiting"})

STEP_COLUMNS = """id, session_id, parent_id, source_photo_id, prompt, negative_prompt, parameters::text, model_key,
    model_hash, model_name, backend_id, batch_id, correlation_id, position, batch_size, status, error_message,
    selected_image_id, selected_at, cancel_requested_at, created_at, submitted_at, started_at, completed_at,
    deleted_at"""
WAITING_FOR = """
    CASE WHEN source_photo_id IS NOT NULL AND status IN ('pending', 'processing')
          AND EXISTS (SELECT FROM step_batches b WHERE b.step_id = generation_steps.id AND b.state = 'waiting')
         THEN (SELECT CASE retrieval_status WHEN 'completed' THEN 'source_upload' ELSE 'source_file' END
                 FROM photos WHERE id = source_photo_id) END
"""
STEPS = f"SELECT {STEP_COLUMNS}, {WAITING_FOR} AS waiting_for FROM generation_steps WHERE id = {ANY_ID}"
ALTERNATIVES = f"""
    SELECT a.step_id, a.photo_id FROM step_alternatives a
     WHERE a.step_id = {ANY_ID} ORDER BY a.step_id, a.position, a.photo_id
"""
ITEMS = f"""
    SELECT b.backend_id, i.item_id, i.batch_id, i.step_id, i.ordinal, i.status, i.error,
           i.created_at, i.started_at, i.completed_at,
           ARRAY(SELECT p.id FROM photos p
                  WHERE p.invoke_session_id = i.invoke_session_id AND p.purged_at IS NULL ORDER BY p.id) AS photo_ids
      FROM queue_items i JOIN step_batches b USING (batch_id)
     WHERE i.step_id = {ANY_ID} AND i.item_id >= 0  -- negative ones stand for items that were not seen yet
     ORDER BY i.step_id, b.ordinal, i.ordinal, i.item_id
"""
LIVE_STEPS = """
    SELECT id FROM generation_steps
     WHERE status IN ('pending', 'processing') AND deleted_at IS NULL ORDER BY id
"""
STEPS_OF_SESSION = "SELECT id FROM generation_steps WHERE session_id = $1 AND deleted_at IS NULL ORDER BY position, id"
# The cover is the latest pick, else the latest alternative that is home; neither from the trash.
SESSIONS = """
    SELECT s.id, s.name, s.created_at, s.updated_at, s.deleted_at,
           (SELECT count(*) FROM generation_steps t WHERE t.session_id = s.id AND t.deleted_at IS NULL) AS step_count,
           coalesce(
               (SELECT p.id FROM generation_steps t JOIN photos p ON p.id = t.selected_image_id
                 WHERE t.session_id = s.id AND t.deleted_at IS NULL AND p.deleted_at IS NULL AND p.purged_at IS NULL
                 ORDER BY t.selected_at DESC NULLS LAST LIMIT 1),
               (SELECT p.id FROM generation_steps t JOIN step_alternatives a ON a.step_id = t.id
                  JOIN photos p ON p.id = a.photo_id
                 WHERE t.session_id = s.id AND t.deleted_at IS NULL AND p.deleted_at IS NULL AND p.purged_at IS NULL
                   AND p.retrieval_status = 'completed'
                 ORDER BY p.id DESC LIMIT 1)) AS cover_photo_id
      FROM generation_sessions s
"""


class SessionList(Resource, frozen=True):
    items: list[Session]
    total: int | None
    limit: int
    offset: int | None
    next_cursor: str | None


class SessionOrder(msgspec.Struct, frozen=True):
    """What a cursor of sessions is bound to: there is one order and no filter."""

    order: str = "updated"


async def steps_by_ids(
    connection: Connection, ids: Iterable[UUID], progress: ProgressOf, thumbnails: Thumbnails | None = None
) -> dict[UUID, Step]:
    """Steps by id, deleted ones too, each with its alternatives in position order and its items. `thumbnails` learns
    where theirs are."""
    step_ids = list(ids)
    rows = await connection.fetch(STEPS, step_ids)
    placed = await connection.fetch(ALTERNATIVES, step_ids)
    items = await connection.fetch(ITEMS, step_ids)
    photos = await photos_by_ids(connection, [row["photo_id"] for row in placed], thumbnails)
    alternatives_of: dict[UUID, list[Photo]] = {row["id"]: [] for row in rows}
    for row in placed:
        if row["photo_id"] in photos:
            alternatives_of[row["step_id"]].append(photos[row["photo_id"]])
    items_of: dict[UUID, list[Item]] = {row["id"]: [] for row in rows}
    for row in items:
        items_of[row["step_id"]].append(_to_item(row, progress))
    return {row["id"]: _to_step(row, alternatives_of[row["id"]], items_of[row["id"]]) for row in rows}


async def live_steps(connection: Connection, progress: ProgressOf) -> list[Step]:
    """All live steps, oldest first."""
    return await _in_order(connection, LIVE_STEPS, (), progress)


async def one_step(connection: Connection, step_id: UUID, progress: ProgressOf) -> Step:
    """One step. Raises `NotFound`, for a deleted one too."""
    step = (await steps_by_ids(connection, [step_id], progress)).get(step_id)
    if step is None or step.deleted_at is not None:
        raise NotFound("There is no such step.")
    return step


async def sessions_by_ids(connection: Connection, ids: Iterable[UUID]) -> dict[UUID, Session]:
    """Sessions by id, deleted ones too."""
    rows = await connection.fetch(f"{SESSIONS} WHERE s.id = ANY($1::uuid[])", list(ids))
    return {row["id"]: Session(**dict(row)) for row in rows}


async def session_detail(
    connection: Connection, session_id: UUID, progress: ProgressOf, thumbnails: Thumbnails | None = None
) -> SessionDetail:
    """One session with its steps by position. Raises `NotFound`, for a deleted one too."""
    session = (await sessions_by_ids(connection, [session_id])).get(session_id)
    if session is None or session.deleted_at is not None:
        raise NotFound("There is no such session.")
    steps = await _in_order(connection, STEPS_OF_SESSION, (session_id,), progress, thumbnails)
    return SessionDetail(**msgspec.structs.asdict(session), steps=steps)


async def list_sessions(
    connection: Connection, *, limit: int, offset: int, cursor: str | None, count: bool
) -> SessionList:
    """The latest changed first."""
    after: list[Any] = []
    condition = ""
    if cursor is not None:
        position = cursors.decode(SessionOrder(), cursor, datetime)
        after, condition = [position.key, position.id], "AND (s.updated_at, s.id) < ($3, $4)"
    rows = await connection.fetch(
        f"{SESSIONS} WHERE s.deleted_at IS NULL {condition} ORDER BY s.updated_at DESC, s.id DESC LIMIT $1 OFFSET $2",
        limit + 1,
        offset,
        *after,
    )
    total = None
    if cursor is None and count:
        total = await connection.fetchval("SELECT count(*) FROM generation_sessions WHERE deleted_at IS NULL")
    items = [Session(**dict(row)) for row in rows[:limit]]
    next_cursor = None
    if len(rows) > limit:
        next_cursor = cursors.encode(SessionOrder(), Position(items[-1].id, items[-1].updated_at.isoformat()))
    shown_offset = None if cursor is not None else offset
    return SessionList(items=items, total=total, limit=limit, offset=shown_offset, next_cursor=next_cursor)


async def _in_order(
    connection: Connection,
    query: str,
    values: Sequence[Any],
    progress: ProgressOf,
    thumbnails: Thumbnails | None = None,
) -> list[Step]:
    ids = [row["id"] for row in await connection.fetch(query, *values)]
    steps = await steps_by_ids(connection, ids, progress, thumbnails)
    return [steps[step_id] for step_id in ids if step_id in steps]


def _to_step(row: asyncpg.Record, alternatives: list[Photo], items: list[Item]) -> Step:
    values = dict(row)
    values["parameters"] = msgspec.Raw(values["parameters"].encode())
    return Step(**values, alternatives=alternatives, items=items)


def _to_item(row: asyncpg.Record, progress: ProgressOf) -> Item:
    live = row["status"] in LIVE_ITEM
    return Item(**dict(row), progress=progress(row["backend_id"], row["item_id"]) if live else None)
