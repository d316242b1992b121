"""Decodes JSON that a program wrote into an image."""

from __future__ import annotations

import json
from typing import Any

from service.runtime.bounded_json import decode as decode_bounded
from service.runtime.bounded_json import is_crowded


def decode(text: str | None) -> Any:
    """The value; None if it cannot be decoded. Python's programs write NaN and Infinity, which JSON does not have:
    these become None, and the rest is kept."""
    if not text:
        return None
    try:
        return decode_bounded(text)
    except (ValueError, RecursionError):
        if is_crowded(text):
            return None
    try:
        return json.loads(text.strip("\0 \t\r\n\ufeff"), parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        return None


def decode_table(text: str | None) -> dict[str, Any]:
    """The object; empty if it is none."""
    return table(decode(text))


def table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
