"""Reads metadata of Fooocus: a JSON table of its metadata or log, or text as AUTOMATIC1111 writes it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from service.media.metadata.automatic1111 import read_automatic1111, split
from service.media.metadata.json_text import decode, decode_table, listed
from service.media.metadata.schedulers import invokeai_scheduler
from service.media.metadata.values import Json, lora, model, number, text, told, whole

RESOLUTION = re.compile(r"\(?\s?(\d{1,6})\s?[,x×]\s?(\d{1,6})\s?\)?")
MAX_LORAS = 50


def read_fooocus(texts: Mapping[str, str]) -> Json | None:
    """The metadata under InvokeAI's names."""
    for name in ("parameters", "UserComment", "comment", "Comment"):
        found = texts.get(name, "")
        if found.lstrip().startswith("{"):
            given = {key.lower().replace(" ", "_"): value for key, value in decode_table(found).items()}
            if "prompt" in given and ("base_model" in given or "fooocus_scheme" in texts):
                return _metadata(given)
        elif found and _is_by_fooocus(texts, found):
            return read_automatic1111(texts)
    return None


def _is_by_fooocus(texts: Mapping[str, str], found: str) -> bool:
    if "fooocus_scheme" in texts or texts.get("Software", "").startswith("Fooocus"):
        return True
    return "Fooocus" in found and split(found).settings.get("Version", "").startswith("Fooocus")


def _metadata(given: Mapping[str, Any]) -> Json:
    size = RESOLUTION.fullmatch(given["resolution"]) if isinstance(given.get("resolution"), str) else None
    sampler, schedule = (
        value if isinstance(value := given.get(name), str) else "" for name in ("sampler", "scheduler")
    )
    return told(
        {
            "positive_prompt": text(given.get("prompt")),
            "negative_prompt": text(given.get("negative_prompt")),
            "seed": whole(given.get("seed")),
            "steps": whole(given.get("steps")),
            "cfg_scale": number(given.get("guidance_scale")),
            "scheduler": invokeai_scheduler(sampler, schedule),
            "clip_skip": whole(given.get("clip_skip")),
            "width": int(size[1]) if size else None,
            "height": int(size[2]) if size else None,
            "model": model(given.get("base_model"), given.get("base_model_hash")),
            "loras": [entry for entry in _loras(given) if entry][:MAX_LORAS],
            "styles": _styles(given.get("styles")),
            "performance": text(given.get("performance")),
        }
    )


def _loras(given: Mapping[str, Any]) -> Iterator[Json | None]:
    """LoRAs: `loras` has name, weight and hash of each; in the log each has a key of its own, `LoRA 1`."""
    entries = given.get("loras")
    for entry in listed(decode(entry_text) if isinstance(entry_text := entries, str) else entries):
        name, weight, hash, *_ = [*listed(entry), None, None, None]
        yield lora(name, weight, hash)
    if listed(entries):
        return
    for key, value in given.items():
        if key.startswith("lora_") and isinstance(value, str):
            name, _, weight = value.rpartition(" : ")
            yield lora(name, weight)


def _styles(value: Any) -> str | None:
    return text(
        ", ".join(part for part in listed(value) if isinstance(part, str)) if isinstance(value, list) else value
    )
