"""Reads metadata of NovelAI: `Comment`, a JSON table; `Description`, the prompt; `Source`, the model."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from service.media.metadata.json_text import decode_table, listed, table
from service.media.metadata.schedulers import invokeai_scheduler
from service.media.metadata.values import Json, number, text, told, whole

SOURCE = re.compile(r"(.{1,400}?)\s([0-9A-F]{6,64})")
MAX_CHARACTERS = 50


def read_novelai(texts: Mapping[str, str]) -> Json | None:
    """The metadata under InvokeAI's names. A WebP has all of it in one table in `UserComment`."""
    comment = texts.get("Comment", "")
    if not comment and texts.get("UserComment", "").lstrip().startswith("{"):
        whole_table = decode_table(texts["UserComment"])
        texts = {name: value for name, value in whole_table.items() if isinstance(value, str)}
        comment = texts.get("Comment", "")
    given = decode_table(comment) if comment.lstrip().startswith("{") else {}
    is_own = texts.get("Software") == "NovelAI" or "v4_prompt" in given or ("uc" in given and "prompt" in given)
    return _metadata(texts, given) if is_own else None


def _metadata(texts: Mapping[str, str], given: Mapping[str, Any]) -> Json:
    sampler, schedule = (
        value if isinstance(value := given.get(name), str) else "" for name in ("sampler", "noise_schedule")
    )
    return told(
        {
            "positive_prompt": _captions(given.get("v4_prompt"))
            or text(given.get("prompt"))
            or texts.get("Description"),
            "negative_prompt": _captions(given.get("v4_negative_prompt")) or text(given.get("uc")),
            "seed": whole(given.get("seed")),
            "steps": whole(given.get("steps")),
            "cfg_scale": number(given.get("scale")),
            "scheduler": invokeai_scheduler(sampler, schedule),
            "strength": number(given.get("strength")),
            "width": whole(given.get("width")),
            "height": whole(given.get("height")),
            "model": _model(texts.get("Source", "")),
        }
    )


def _captions(prompt: Any) -> str | None:
    """The captions of version 4: one of the whole and one of each character."""
    return "\n".join(part for part in _each_caption(table(table(prompt).get("caption"))) if part) or None


def _each_caption(caption: Mapping[str, Any]) -> Iterator[str | None]:
    yield text(caption.get("base_caption"))
    for character in listed(caption.get("char_captions"))[:MAX_CHARACTERS]:
        yield text(table(character).get("char_caption"))


def _model(source: str) -> Json | None:
    if found := SOURCE.fullmatch(source.strip()):
        return {"name": found[1], "hash": found[2]}
    return {"name": source.strip()} if source.strip() else None
