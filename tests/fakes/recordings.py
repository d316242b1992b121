"""Reads tests/recordings, and compares JSON by shape: keys, their order, and types."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent.parent / "recordings"

Json = dict[str, Any]

# Objects whose keys are ids: each value is compared, not the keys.
_BY_ID = {
    "results",
    "errors",
    "nodes",
    "prepared_source_mapping",
    "source_prepared_mapping",
    "prepared_iteration_paths",
    "indegree",
    "canceled_item_ids_by_user",
    "retried_item_ids_by_user",
}


def names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.jsonl"))


def lines(name: str) -> list[Json]:
    return [json.loads(line) for line in (FOLDER / f"{name}.jsonl").read_text().splitlines()]


def events(name: str, who: str | None = None) -> Iterator[tuple[str, Json]]:
    """Events of one recording in order; of one client only, the first one's without `who`."""
    for line in lines(name):
        if line["kind"] == "event":
            who = who or line["who"]
            if line["who"] == who:
                yield line["event"], line["payload"]


def exchanges() -> list[Json]:
    """The single REST exchanges."""
    found: list[Json] = json.loads((FOLDER / "rest.json").read_text())
    return found


def shape(value: Any) -> Any:
    """Keys in order with the shapes of their values; a list is the set of its members' shapes."""
    if isinstance(value, dict):
        return {key: _shape_by_id(part) if key in _BY_ID else shape(part) for key, part in value.items()}
    if isinstance(value, list):
        return [json.loads(text) for text in sorted({json.dumps(shape(part)) for part in value})]
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    return "number" if isinstance(value, int | float) else "text"


def _shape_by_id(value: Any) -> Any:
    return shape(list(value.values())) if isinstance(value, dict) else shape(value)


def differences(real: Any, demo: Any, at: str = "") -> list[str]:
    """What sets the second shape apart from the first. Null fits anything; an empty list fits any list."""
    if "null" in (real, demo) or (isinstance(real, list) and isinstance(demo, list) and not (real and demo)):
        return []
    if isinstance(real, dict) and isinstance(demo, dict):
        if list(real) != list(demo):
            return [f"{at}: keys {list(real)} are {list(demo)}"]
        return [line for key in real for line in differences(real[key], demo[key], f"{at}.{key}")]
    if isinstance(real, list) and isinstance(demo, list):
        closest = [min((differences(one, other, f"{at}[]") for one in real), key=len) for other in demo]
        return [line for lines in closest for line in lines]
    return [] if real == demo else [f"{at}: {real} is {demo}"]
