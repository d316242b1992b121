"""Converts values of other programs into those of InvokeAI's metadata."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

MAX_DIGITS = 20
"""Digits of a seed below 2^64."""
EXTENSION = re.compile(r"\.(?:safetensors|ckpt|pth?|bin|gguf|sft)$", re.IGNORECASE)

Json = dict[str, Any]


def whole(value: Any) -> int | None:
    """A whole number from 0, exact: a seed may be larger than 2^53."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        return int(value) if value.is_integer() and 0 <= value < 2**64 else None
    if isinstance(value, str):
        text = value.strip()
        value = int(text) if text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS else None
    return value if isinstance(value, int) and 0 <= value < 2**64 else None


def number(value: Any) -> int | float | None:
    if isinstance(value, str) and len(value) <= 2 * MAX_DIGITS:
        try:
            value = float(value)
        except ValueError:
            return None
        value = int(value) if value.is_integer() else value
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return value if abs(value) < 2**64 else None


def text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def model_name(value: Any) -> str | None:
    """The name of a model's file, without folders and extension."""
    if not isinstance(value, str):
        return None
    name = EXTENSION.sub("", value.replace("\\", "/").rpartition("/")[2].strip())
    return name if name and name.lower() != "none" else None


def model(name: Any, hash: Any = None) -> Json | None:
    kept = {"name": model_name(name), "hash": hash.strip() if isinstance(hash, str) else None}
    return {key: value for key, value in kept.items() if value} or None


def lora(name: Any, weight: Any, hash: Any = None) -> Json | None:
    """An entry of InvokeAI's `loras`; None if it has no name or no weight."""
    found = model(name, hash)
    strength = number(weight)
    if found is None or "name" not in found or strength == 0:
        return None
    return {"model": found, "weight": 1 if strength is None else strength}


def told(fields: Mapping[str, Any]) -> Json:
    """The fields without those that are None."""
    return {name: value for name, value in fields.items() if value is not None and value != []}
