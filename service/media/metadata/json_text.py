"""JSON that a program wrote into a picture."""

from __future__ import annotations

import json
from typing import Any

import msgspec


def decode(text: str | None) -> Any:
    """None where it cannot be read. Python's programs write NaN and Infinity, which JSON does not know: these are None,
    and the rest is kept."""
    if not text:
        return None
    try:
        return msgspec.json.decode(text)
    except (ValueError, RecursionError):
        pass
    try:
        return json.loads(text.strip("\0 \t\r\n\ufeff"), parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        return None


def decode_table(text: str | None) -> dict[str, Any]:
    """Empty where it is no object."""
    return table(decode(text))


def table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
