"""What a rented machine costs and what was saved, also where a clock was set back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from service.pods.money import for_hours, run_cost, saved

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
EARLIER = NOW - timedelta(hours=2)
LATER = NOW + timedelta(hours=2)


@pytest.mark.parametrize(
    ("cost", "since", "expected"),
    [(0.5, EARLIER, 1.0), (0.0, EARLIER, 0.0), (None, EARLIER, 0.0), (0.5, None, 0.0), (0.5, LATER, 0.0)],
)
def test_hours_cost_what_they_cost(cost: float | None, since: datetime | None, expected: float) -> None:
    assert for_hours(cost, since, NOW) == expected


def test_a_run_costs_what_was_counted_and_what_has_passed_since() -> None:
    assert run_cost(3.0, 0.5, running=True, read_at=EARLIER, now=NOW) == 4.0
    assert run_cost(3.0, 0.5, running=True, read_at=LATER, now=NOW) == 3.0


def test_a_run_that_is_over_costs_no_more() -> None:
    assert run_cost(3.0, 0.5, running=False, read_at=EARLIER, now=NOW) == 3.0


def test_without_a_price_nobody_knows_what_a_run_costs() -> None:
    assert run_cost(0.0, None, running=True, read_at=EARLIER, now=NOW) is None


def test_what_was_saved_adds_up() -> None:
    assert saved(3.0, 0.5, stopped_by_us_at=EARLIER, now=NOW) == 4.0
    assert saved(3.0, 0.5, stopped_by_us_at=None, now=NOW) == 3.0
    assert saved(3.0, None, stopped_by_us_at=EARLIER, now=NOW) == 3.0
