"""A row of `pods`, for tests of the rule alone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from service.pods.provider import PodState
from service.pods.rows import PodRow

NOW = datetime(2026, 11, 30, tzinfo=UTC)


def pod(said: PodState = "stopped", **changes: Any) -> PodRow:
    """Read just now, its root safe."""
    row: dict[str, Any] = dict.fromkeys(PodRow.__struct_fields__) | {
        "backend_id": UUID(int=0),
        "shown_provider": {},
        "mark": "",
        "idle_minutes": 15.0,
        "autostart": True,
        "said": said,
        "state": said,
        "state_since": NOW,
        "read_at": NOW,
        "root": "safe",
        "locked": False,
        "confirmed": False,
        "started_by_us": False,
        "orders": 0,
        "cost_per_hour": 0.6,
        "run_cost": 0.0,
        "saved": 0.0,
    }
    if said in ("running", "starting"):
        row |= {"run_began_at": NOW}
    return PodRow(**(row | changes))
