"""Numbered parameters for SQL that is put together from parts."""

from __future__ import annotations

from typing import Any


class Arguments:
    """The values behind `$1`, `$2`, … in the order they were asked for."""

    def __init__(self) -> None:
        self.values: list[Any] = []

    def add(self, value: Any) -> str:
        """Keeps `value` and returns its placeholder."""
        self.values.append(value)
        return f"${len(self.values)}"
