"""Generation parameters from InvokeAI's metadata, as columns to filter by. The whole is stored as given."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import msgspec
import structlog

from service.media.metadata.json_text import decode, table
from service.media.metadata.values import number
from service.runtime.bounded_json import is_crowded

log = structlog.get_logger()

MAX_TEXT = 100_000
"""Characters of a prompt in its own column, which is searched. PostgreSQL's search vectors end at a megabyte."""
MAX_NAME = 500
"""Characters of a model's or LoRA's name in its own column: as many as a filter may have, and an index holds."""
MAX_SEED = 10**20
MAX_LORAS = 100
"""LoRAs of one image in their own column."""
MAX_KEPT = 1024 * 1024
"""Bytes of metadata that are stored. Longer metadata stay in the file; their columns are filled all the same."""
LARGE = 256 * 1024
"""Bytes of text from which on one thread at a time reads it: decoded it may need a hundred times the memory."""
SUMMARY = ("steps", "cfg_scale", "strength")
LONGEST_SCHEDULER = 100
LARGEST_NUMBER, DECIMALS = 10**9, 6
"""Largest number and digits after the point in a summary."""

_one_at_a_time = threading.Lock()


class GenerationParameters(msgspec.Struct, frozen=True, kw_only=True):
    """`metadata` is JSON text for a jsonb column, None if it is too long to be stored. `summary` is the part that lists
    show, as JSON text. A LoRA is in `loras` by name and by key, so that either finds it."""

    metadata: str | None = None
    summary: str | None = None
    prompt: str | None = None
    negative_prompt: str | None = None
    model_key: str | None = None
    model_hash: str | None = None
    model_name: str | None = None
    model_base: str | None = None
    loras: list[str] | None = None
    seed: int | None = None


@contextmanager
def large_one_at_a_time(size: int) -> Iterator[None]:
    """Holds the lock while so many bytes of text are decoded and dropped again (blocks)."""
    if size < LARGE:
        yield
        return
    with _one_at_a_time:
        yield


def is_kept(text: str | bytes) -> bool:
    """Whether metadata of that length are stored."""
    return len(text) <= MAX_KEPT and not is_crowded(text)


def parameters(metadata: Mapping[str, Any], *, keeps: bool = True) -> GenerationParameters:
    """The parameters of `core_metadata`, as InvokeAI writes it since 3. A value that is missing or of another type is
    None; all are, if it is nested too deeply. Without `keeps` the whole is not stored."""
    try:
        kept = storable(metadata)
        text = msgspec.json.encode(kept)
    except RecursionError:
        log.warning("metadata cannot be kept", reason="nested too deeply")
        return GenerationParameters()
    model = table(kept.get("model"))
    return GenerationParameters(
        metadata=text.decode() if keeps and len(text) <= MAX_KEPT else None,
        summary=_summary(kept),
        prompt=_text(kept.get("positive_prompt")),
        negative_prompt=_text(kept.get("negative_prompt")),
        model_key=_name(model, "key"),
        model_hash=_name(model, "hash"),
        model_name=_name(model, "name", "model_name"),
        model_base=_name(model, "base", "base_model"),
        loras=_loras(kept.get("loras")),
        seed=_seed(kept.get("seed")),
    )


def _summary(metadata: Mapping[str, Any]) -> str:
    numbers = {name: _bounded(metadata.get(name)) for name in SUMMARY}
    scheduler = metadata.get("scheduler")
    words = {"scheduler": scheduler[:LONGEST_SCHEDULER] if isinstance(scheduler, str) else None}
    return msgspec.json.encode(numbers | words).decode()


def _bounded(value: Any) -> int | float | None:
    found = None if isinstance(value, str) else number(value)
    return round(found, DECIMALS) if found is not None and abs(found) < LARGEST_NUMBER else None


def embedded(text: str | None) -> dict[str, Any] | None:
    """The metadata inside the file; None if there are none that can be read."""
    found = decode(text)
    if text and not isinstance(found, dict):
        log.warning("metadata inside the file cannot be read")
    return found if isinstance(found, dict) else None


def _loras(entries: Any) -> list[str] | None:
    found: dict[str, None] = {}
    for entry in entries if isinstance(entries, list) else []:
        # InvokeAI 3 wrote `lora`, later versions write `model`.
        lora = table(table(entry).get("model") or table(entry).get("lora"))
        for name in (_name(lora, "name", "model_name"), _name(lora, "key")):
            if name:
                found[name] = None
        if len(found) >= 2 * MAX_LORAS:
            break
    return list(found) or None


def _seed(value: Any) -> int | None:
    whole = int(value) if isinstance(value, float) and value.is_integer() else value
    return whole if type(whole) is int and 0 <= whole < MAX_SEED else None


def _text(value: Any) -> str | None:
    return value[:MAX_TEXT] if isinstance(value, str) and value else None


def _name(fields: Mapping[str, Any], *keys: str) -> str | None:
    """The first of these that is text."""
    texts = (_text(fields.get(key)) for key in keys)
    return next((text[:MAX_NAME] for text in texts if text), None)


def storable(value: Any) -> Any:
    """The value without what PostgreSQL's text cannot hold: NUL characters and lone surrogates."""
    if isinstance(value, str):
        return value.replace("\0", "").encode(errors="replace").decode()
    if isinstance(value, Mapping):
        return {storable(key): storable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [storable(item) for item in value]
    return value
