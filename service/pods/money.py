"""Cost of a rented machine, and what stopping it saved. Pure; all times are the database's.

Storage is not counted: no provider tells its price with the pod. `stopped_costs` says in words what is billed while a
pod is stopped.
"""

from __future__ import annotations

from datetime import datetime

HOUR = 3600.0


def for_hours(cost_per_hour: float | None, since: datetime | None, until: datetime) -> float:
    """Cost of that time. 0 without a price or a time; a clock that was set back counts as 0."""
    if cost_per_hour is None or since is None:
        return 0.0
    return cost_per_hour * max(0.0, (until - since).total_seconds()) / HOUR


def run_cost(
    counted: float, cost_per_hour: float | None, *, running: bool, read_at: datetime | None, now: datetime
) -> float | None:
    """Cost of the present run, or of the last one. `counted` is its cost at the last reading (`read_at`). None if there
    is no price."""
    if cost_per_hour is None:
        return None
    return counted + (for_hours(cost_per_hour, read_at, now) if running else 0.0)


def saved(counted: float, cost_per_hour: float | None, *, stopped_by_us_at: datetime | None, now: datetime) -> float:
    """Money not spent because Darkroom stopped the pod: `counted` by the stops that are over, and the time since the
    present one (`stopped_by_us_at`)."""
    return counted + for_hours(cost_per_hour, stopped_by_us_at, now)
