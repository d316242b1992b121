"""The table `pods`: reading, locking and writing its rows. All times are the database's.

The key of the provider is in no struct but `Configured`, which is never logged or shown.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec

from service.bus.live_state import PodState
from service.database.engine import Connection
from service.pods.provider import Root

OrderKind = Literal["start", "stop"]
Wanted = Literal["running", "stopped"]
WantedBy = Literal["work", "owner", "idle"]
OrderOutcome = Literal["taken", "no_gpu", "refused", "not_known", "later"]


class PodRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `pods` (models.py says what its columns mean), without the provider's key."""

    backend_id: UUID
    shown_provider: dict[str, Any]
    """The provider's configuration without secrets."""
    idle_minutes: float
    autostart: bool
    said: PodState
    said_words: str | None
    state: PodState
    state_since: datetime
    words: str | None
    read_at: datetime | None
    root: Root
    root_confirmed: bool | None
    gpus: int | None
    locked: bool
    stopped_costs: str | None
    wanted: Wanted | None
    wanted_by: WantedBy | None
    wanted_at: datetime | None
    confirmed: bool
    give_up_at: datetime | None
    failure: str | None
    gave_up_on: int | None
    started_by_us: bool
    ready_at: datetime | None
    order_kind: OrderKind | None
    order_id: UUID | None
    order_written_at: datetime | None
    order_sent_at: datetime | None
    order_outcome: OrderOutcome | None
    order_words: str | None
    next_order_at: datetime | None
    orders: int
    held_at: datetime | None
    idle_since: datetime | None
    stop_refused: str | None
    alarm: str | None
    cost_per_hour: float | None
    run_began_at: datetime | None
    run_cost: float
    stopped_by_us_at: datetime | None
    saved: float
    mark: str
    """Changes with the provider's configuration: an answer to another configuration is not about this pod."""


class Configured(msgspec.Struct, frozen=True, kw_only=True):
    """How a pod's provider is reached, for the process that asks it."""

    backend_id: UUID
    kind: str
    name: str
    provider: dict[str, Any]
    enabled: bool
    mark: str


READ_ONLY = ("backend_id", "shown_provider", "idle_minutes", "autostart", "root_confirmed")
"""Columns that only the owner sets; `write` leaves them as they are."""
COLUMNS = [field for field in PodRow.__struct_fields__ if field not in ("shown_provider", "mark")]
SELECT = f"""
    SELECT {", ".join(COLUMNS)}, (provider - 'api_key') AS shown_provider, md5(provider::text) AS mark FROM pods
"""
LOCK = f"{SELECT} WHERE backend_id = $1 FOR UPDATE"
CONFIGURED = """
    SELECT p.backend_id, b.kind, b.name, p.provider, b.enabled, md5(p.provider::text) AS mark
      FROM pods p JOIN backends b ON b.id = p.backend_id WHERE b.kind IN ('runpod', 'command') ORDER BY p.backend_id
"""
INSERT = "INSERT INTO pods (backend_id, provider, idle_minutes, autostart) VALUES ($1, $2::jsonb, $3, $4)"
# Answered from ix_step_batches_unsent and ix_step_batches_waiting.
WORK = """
    SELECT max(ordinal) FROM (
        SELECT ordinal, step_id FROM step_batches WHERE backend_id = $1 AND state = 'prepared'
        UNION ALL SELECT ordinal, step_id FROM step_batches WHERE backend_id = $1 AND state = 'waiting') b
      JOIN generation_steps s ON s.id = b.step_id
     WHERE s.cancel_requested_at IS NULL AND s.deleted_at IS NULL
"""
# Also batches that were sent and are in doubt, and unwanted ones that were not withdrawn yet.
UNSENT = """
    SELECT EXISTS (SELECT FROM step_batches WHERE backend_id = $1 AND state IN ('prepared', 'posted'))
        OR EXISTS (SELECT FROM step_batches WHERE backend_id = $1 AND state = 'waiting')
"""
# As the ledger expects them (backends/ledger.py).
UNSENT_PICTURES = """
    SELECT coalesce(sum(b.wanted), 0)::bigint FROM (
        SELECT wanted, step_id FROM step_batches WHERE backend_id = $1 AND state = 'prepared'
        UNION ALL SELECT wanted, step_id FROM step_batches WHERE backend_id = $1 AND state = 'waiting') b
      JOIN generation_steps s ON s.id = b.step_id
     WHERE s.status IN ('pending', 'processing') AND s.deleted_at IS NULL
"""


async def pod_rows(connection: Connection) -> dict[UUID, PodRow]:
    """All pods, by backend."""
    return {row["backend_id"]: _row(row) for row in await connection.fetch(SELECT)}


async def configured(connection: Connection) -> list[Configured]:
    """How each pod's provider is reached."""
    return [
        Configured(**{**dict(row), "provider": _decoded(row["provider"])}) for row in await connection.fetch(CONFIGURED)
    ]


async def lock(connection: Connection, backend_id: UUID) -> tuple[PodRow, datetime] | None:
    """The row, locked until the transaction ends, and the database's time after that; None when there is none."""
    row = await connection.fetchrow(LOCK, backend_id)
    if row is None:
        return None
    return _row(row), await connection.fetchval("SELECT clock_timestamp()")


async def write(connection: Connection, before: PodRow, after: PodRow) -> bool:
    """Writes the columns of a locked row that differ; False when none does."""
    changed = [name for name in COLUMNS if name not in READ_ONLY and getattr(before, name) != getattr(after, name)]
    if not changed:
        return False
    values = [getattr(after, name) for name in changed]
    places = ", ".join(f"{name} = ${number}" for number, name in enumerate(changed, 2))
    await connection.execute(f"UPDATE pods SET {places} WHERE backend_id = $1", after.backend_id, *values)
    return True


async def insert(
    connection: Connection, backend_id: UUID, provider: dict[str, Any], *, idle_minutes: float, autostart: bool
) -> None:
    """Inserts the row of a backend that was just inserted."""
    await connection.execute(INSERT, backend_id, msgspec.json.encode(provider).decode(), idle_minutes, autostart)


async def newest_work(connection: Connection, backend_id: UUID) -> int | None:
    """The ordinal of the newest batch of a step that is wanted and is to be submitted there, or waits for its source;
    None when there is no such batch."""
    newest: int | None = await connection.fetchval(WORK, backend_id)
    return newest


async def read(connection: Connection, backend_id: UUID) -> tuple[PodRow, datetime] | None:
    """The row, not locked, and the database's time."""
    row = await connection.fetchrow(f"{SELECT} WHERE backend_id = $1", backend_id)
    return (_row(row), await connection.fetchval("SELECT clock_timestamp()")) if row is not None else None


async def has_unsent(connection: Connection, backend_id: UUID) -> bool:
    """Whether any batch may still be submitted there, or may just have been."""
    return bool(await connection.fetchval(UNSENT, backend_id))


async def unsent_pictures(connection: Connection, backend_id: UUID) -> int:
    """How many pictures of what was never sent there the ledger expects."""
    number: int = await connection.fetchval(UNSENT_PICTURES, backend_id)
    return number


def _row(record: Any) -> PodRow:
    values = dict(record)
    return PodRow(**{**values, "shown_provider": _decoded(values["shown_provider"])})


def _decoded(value: Any) -> Any:
    """The value; the driver may return jsonb as text."""
    return msgspec.json.decode(value) if isinstance(value, str) else value
