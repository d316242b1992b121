"""Numbered parameters for SQL that is built from parts."""

from __future__ import annotations

from typing import Any

ANY_ID = "ANY((SELECT $1::uuid[])::uuid[])"
"""One of the ids that are the first argument. Because of the subquery the planner expects ten, however many there are,
and keeps one plan with the prepared statement. Else it would plan anew for each id, which takes longer than reading."""


class Arguments:
    """The values of `$1`, `$2`, … in the order they were added."""

    def __init__(self) -> None:
        self.values: list[Any] = []

    def add(self, value: Any) -> str:
        """Adds `value` and returns its placeholder."""
        self.values.append(value)
        return f"${len(self.values)}"
