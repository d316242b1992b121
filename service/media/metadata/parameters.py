"""What InvokeAI's metadata say of an image's making, in the columns people filter by; the whole is kept as given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import structlog

from service.media.metadata.json_text import decode, table

log = structlog.get_logger()

MAX_TEXT = 100_000
"""Characters of a prompt that are kept apart and searched; PostgreSQL's search vectors end at a megabyte."""
MAX_NAME = 500
"""Characters of a model's or LoRA's name that are kept apart: as many as a filter may ask for, and an index holds."""
MAX_SEED = 10**20


class Parameters(msgspec.Struct, frozen=True, kw_only=True):
    """`metadata` is JSON text as jsonb takes it. A LoRA is in `loras` by name and by key, since either finds it."""

    metadata: str | None = None
    prompt: str | None = None
    negative_prompt: str | None = None
    model_key: str | None = None
    model_hash: str | None = None
    model_name: str | None = None
    model_base: str | None = None
    loras: list[str] | None = None
    seed: int | None = None


def parameters(metadata: Mapping[str, Any]) -> Parameters:
    """Of `core_metadata`, as InvokeAI writes it since 3; whatever is missing or of another type is None. Nested too
    deeply to be walked, it says nothing at all."""
    try:
        kept = storable(metadata)
        text = msgspec.json.encode(kept).decode()
    except RecursionError:
        log.warning("metadata cannot be kept", reason="nested too deeply")
        return Parameters()
    model = table(kept.get("model"))
    return Parameters(
        metadata=text,
        prompt=_text(kept.get("positive_prompt")),
        negative_prompt=_text(kept.get("negative_prompt")),
        model_key=_name(model, "key"),
        model_hash=_name(model, "hash"),
        model_name=_name(model, "name", "model_name"),
        model_base=_name(model, "base", "base_model"),
        loras=_loras(kept.get("loras")),
        seed=_seed(kept.get("seed")),
    )


def embedded(text: str | None) -> dict[str, Any] | None:
    """The metadata inside the file itself; None when there are none that can be read."""
    found = decode(text)
    if text and not isinstance(found, dict):
        log.warning("metadata inside the file cannot be read")
    return found if isinstance(found, dict) else None


def _loras(entries: Any) -> list[str] | None:
    found: dict[str, None] = {}
    for entry in entries if isinstance(entries, list) else []:
        # InvokeAI 3 said `lora` where later ones say `model`.
        lora = table(table(entry).get("model") or table(entry).get("lora"))
        for name in (_name(lora, "name", "model_name"), _name(lora, "key")):
            if name:
                found[name] = None
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
    """Without what PostgreSQL's text cannot hold: NUL characters and lone surrogates."""
    if isinstance(value, str):
        return value.replace("\0", "").encode(errors="replace").decode()
    if isinstance(value, Mapping):
        return {storable(key): storable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [storable(item) for item in value]
    return value
