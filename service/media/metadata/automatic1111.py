"""Reads metadata of AUTOMATIC1111's web UI, Forge and SD.Next.

`parameters` in a PNG, or `UserComment` elsewhere, has the prompt, a line `Negative prompt: …`, and a line of settings,
`Steps: 20, Sampler: Euler a, …`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from service.media.metadata.json_text import decode, decode_table, listed, table
from service.media.metadata.schedulers import invokeai_scheduler
from service.media.metadata.values import Json, lora, model, model_name, number, told, whole

NEGATIVE = "Negative prompt:"
KNOWN = ("Steps", "Sampler", "CFG scale", "Seed", "Size", "Model", "Model hash", "Version", "Schedule type")
LEAST = 3
"""Least number of settings in a line of settings: words of a prompt may look like one or two."""
MAX_LINE = 100_000
MAX_SETTINGS = 300
SIZE = re.compile(r"(\d{1,6})\s?x\s?(\d{1,6})")
LORA = re.compile(r"<(?:lora|lyco):([^<>]{1,500})>")
_json = json.JSONDecoder()


class Parts(NamedTuple):
    prompt: str
    negative: str
    settings: Mapping[str, str]


def read_automatic1111(texts: Mapping[str, str]) -> Json | None:
    """The metadata under InvokeAI's names. A text that is named `parameters` counts even without settings."""
    parts = next((parts for text in _candidates(texts) if (parts := split(text)).settings), None)
    if parts is None and (text := texts.get("parameters", "").strip()) and not text.startswith("{"):
        parts = split(text)
    return _metadata(parts) if parts else None


def _candidates(texts: Mapping[str, str]) -> Iterator[str]:
    for name in ("parameters", "UserComment", "comment", "ImageDescription", "Comment"):
        if name in texts:
            yield texts[name]


def split(text: str) -> Parts:
    """Splits the text at the last line that looks like settings; some programs write templates after it."""
    lines = text.strip().split("\n")
    settings: dict[str, str] = {}
    end = len(lines)
    for index in range(len(lines) - 1, -1, -1):
        if _may_be_settings(lines[index]):
            settings = dict(_settings(lines[index]))
            end = index
            break
    words = [line.strip() for line in lines[:end]]
    start = next((index for index, line in enumerate(words) if line.startswith(NEGATIVE)), len(words))
    negative = "\n".join(words[start:]).removeprefix(NEGATIVE)
    return Parts("\n".join(words[:start]).strip(), negative.strip(), settings)


def _may_be_settings(line: str) -> bool:
    """Whether the line has enough names of settings, each at the beginning or after a comma."""
    if len(line) > MAX_LINE or line.lstrip().startswith(NEGATIVE):
        return False
    found = sum(line.lstrip().startswith(f"{name}: ") or f", {name}: " in line for name in KNOWN)
    return found >= LEAST or (found == LEAST - 1 and line.lstrip().startswith("Steps: "))


def _settings(line: str) -> Iterator[tuple[str, str]]:
    """The settings of the line. Values may be quoted as in JSON, or be JSON themselves; else they end at the next
    comma."""
    at = 0
    for _ in range(MAX_SETTINGS):
        colon = line.find(":", at)
        if colon < 0:
            return
        # The comma before it was no separator but part of the value.
        name = line[at:colon].rpartition(",")[2].strip()
        start = colon + 1
        while start < len(line) and line[start] == " ":
            start += 1
        value, at = _value(line, start)
        if name:
            yield name, value


def _value(line: str, start: int) -> tuple[str, int]:
    """The value, and where the next name begins."""
    if line[start : start + 1] in ('"', "{", "["):
        try:
            value, end = _json.raw_decode(line, start)
        except (ValueError, RecursionError):
            pass
        else:
            if line[end : end + 1] in ("", ",", " "):
                return (value if isinstance(value, str) else line[start:end]), end
    comma = line.find(",", start)
    end = len(line) if comma < 0 else comma
    return line[start:end].strip(), end


def _metadata(parts: Parts) -> Json:
    given = parts.settings
    size = SIZE.fullmatch(given.get("Size", ""))
    resources = [table(entry) for entry in listed(decode(given.get("Civitai resources")))]
    return told(
        {
            "positive_prompt": parts.prompt or None,
            "negative_prompt": parts.negative or None,
            "seed": whole(given.get("Seed")),
            "steps": whole(given.get("Steps")),
            "cfg_scale": number(given.get("CFG scale")),
            "guidance": number(given.get("Distilled CFG Scale")),
            "scheduler": invokeai_scheduler(given.get("Sampler", ""), given.get("Schedule type", "")),
            "strength": number(given.get("Denoising strength")),
            "clip_skip": whole(given.get("Clip skip")),
            "width": int(size[1]) if size else None,
            "height": int(size[2]) if size else None,
            "model": _model(given, resources),
            "loras": _loras(parts, resources),
        }
    )


def _model(given: Mapping[str, str], resources: list[Json]) -> Json | None:
    hash = given.get("Model hash") or decode_table(given.get("Hashes")).get("model")
    found = model(given.get("Model"), hash)
    if found is None or "name" not in found:
        name = next((entry.get("modelName") for entry in resources if entry.get("type") == "checkpoint"), None)
        found = model(name, hash)
    return found


def _loras(parts: Parts, resources: list[Json]) -> list[Json]:
    """LoRAs of the prompt, else of the lists of hashes, weights and resources that some programs write."""
    given = parts.settings
    hashes: dict[str, Any] = dict(_pairs(given.get("Lora hashes", "")))
    for name, hash in decode_table(given.get("Hashes")).items():
        if name.startswith("lora:"):
            hashes.setdefault(name.removeprefix("lora:"), hash)
    weights: dict[str, Any] = dict(_named_in(parts.prompt))
    if not weights:
        weights = dict(_pairs(given.get("Lora weights", ""))) or dict.fromkeys(hashes)
    if not weights:
        loras = [entry for entry in resources if entry.get("type") in ("lora", "lycoris", "locon")]
        weights = {
            entry["modelName"]: entry.get("weight") for entry in loras if isinstance(entry.get("modelName"), str)
        }
    by_name = {model_name(name): hash for name, hash in hashes.items()}
    entries = (lora(name, weight, by_name.get(model_name(name))) for name, weight in weights.items())
    return [entry for entry in entries if entry]


def _named_in(prompt: str) -> Iterator[tuple[str, str | None]]:
    """LoRAs in the prompt: `<lora:name:weight>`; a second weight is the text encoder's."""
    for entry in LORA.findall(prompt):
        name, _, weights = entry.partition(":")
        yield name, weights.partition(":")[0] or None


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    """Pairs of `name: value, name: value`."""
    for pair in text.split(","):
        name, colon, value = pair.rpartition(":")
        if colon and name.strip():
            yield name.strip(), value.strip()
