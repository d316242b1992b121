"""The Pod resource of the API and the feed: a row of `pods` without secrets."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from service.api.resources import CommandProvider, Pod, RunpodProvider
from service.database.engine import Connection
from service.pods import money
from service.pods.decide import asks_root
from service.pods.rows import PodRow, pod_rows


async def pod_resources(connection: Connection) -> dict[UUID, Pod]:
    """All pods by backend, at the present time of the database's clock."""
    found = await pod_rows(connection)
    if not found:
        return {}
    now = await connection.fetchval("SELECT clock_timestamp()")
    return {backend_id: pod_resource(row, now) for backend_id, row in found.items()}


def pod_resource(row: PodRow, now: datetime) -> Pod:
    """`now` is the database's."""
    provider = _provider(row.shown_provider)
    cost = provider.cost_per_hour if isinstance(provider, CommandProvider) else row.cost_per_hour
    return Pod(
        state=row.state,
        since=row.state_since,
        words=row.words,
        wanted=row.wanted,
        cost_per_hour=cost,
        cost_run=money.run_cost(row.run_cost, cost, running=row.run_began_at is not None, read_at=row.read_at, now=now),
        saved=money.saved(row.saved, cost, stopped_by_us_at=row.stopped_by_us_at, now=now),
        stop_refused=row.stop_refused,
        alarm=row.alarm,
        autostart=row.autostart,
        idle_minutes=row.idle_minutes,
        idle_since=row.idle_since,
        next_try_at=row.next_order_at if row.wanted else None,
        give_up_at=row.give_up_at if row.wanted == "running" else None,
        asks_root=asks_root(row),
        stopped_costs=row.stopped_costs,
        provider=provider,
    )


def _provider(shown: dict[str, Any]) -> RunpodProvider | CommandProvider:
    kind = "runpod" if "pod_id" in shown else "command"
    provider: RunpodProvider | CommandProvider = msgspec.convert(
        {**shown, "kind": kind},
        RunpodProvider | CommandProvider,
    )
    return provider
