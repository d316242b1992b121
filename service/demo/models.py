"""The models the demo offers: fixed, in the form `/api/v2/models/` answers (FACTS §7)."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable
from typing import Any

Json = dict[str, Any]

_NAMESPACE = uuid.UUID("5f0c63a2-6c6c-4d6e-9d7e-0d3b5b0c1f10")
_MAIN_DEFAULTS = (
    "vae",
    "vae_precision",
    "scheduler",
    "steps",
    "cfg_scale",
    "cfg_rescale_multiplier",
    "width",
    "height",
    "guidance",
    "cpu_only",
    "fp8_storage",
)


def _common(name: str, kind: str, description: str, file_size: int) -> Json:
    slug = name.lower().replace(" ", "-").replace(".", "-")
    return {
        "key": str(uuid.uuid5(_NAMESPACE, name)),
        "hash": "blake3:" + hashlib.sha256(name.encode()).hexdigest(),
        "path": f"demo/{slug}",
        "file_size": file_size,
        "name": name,
        "description": description,
        "source": f"demo/{slug}",
        "source_type": "path",
        "source_api_response": None,
        "source_url": None,
        "cover_image": None,
        "type": kind,
    }


def main_model(name: str, base: str, description: str, *, file_size: int = 2_132_000_000, **defaults: Any) -> Json:
    """A diffusers main model; `defaults` fills its default_settings, the rest of which are null."""
    return _common(name, "main", description, file_size) | {
        "trigger_phrases": None,
        "default_settings": dict.fromkeys(_MAIN_DEFAULTS) | defaults,
        "format": "diffusers",
        "repo_variant": "",
        "prediction_type": "v_prediction" if base == "sd-2" else "epsilon",
        "variant": "normal",
        "base": base,
    }


def lora_model(name: str, base: str, description: str, *, phrases: Iterable[str] = (), weight: float = 0.75) -> Json:
    return _common(name, "lora", description, 144_000_000) | {
        "trigger_phrases": sorted(phrases) or None,
        "default_settings": {"weight": weight, "weight_min": None, "weight_max": None},
        "format": "lycoris",
        "base": base,
    }


def vae_model(name: str, base: str, description: str) -> Json:
    return _common(name, "vae", description, 334_000_000) | {
        "format": "diffusers",
        "repo_variant": "",
        "cpu_only": None,
        "base": base,
    }


DEMO_MODELS: tuple[Json, ...] = (
    main_model(
        "Demo Hills 1.5",
        "sd-1",
        "Draws layered hills; no neural network inside.",
        width=512,
        height=512,
        steps=20,
        cfg_scale=7.0,
        scheduler="euler",
    ),
    main_model(
        "Demo Hills 2.1",
        "sd-2",
        "Layered hills at 768 pixels; no neural network inside.",
        file_size=2_580_000_000,
        width=768,
        height=768,
        steps=24,
        cfg_scale=6.5,
        scheduler="dpmpp_2m",
    ),
    main_model(
        "Demo Hills XL",
        "sdxl",
        "Layered hills at 1024 pixels; no neural network inside.",
        file_size=6_938_000_000,
        width=1024,
        height=1024,
        steps=28,
        cfg_scale=6.0,
        scheduler="dpmpp_2m_k",
    ),
    lora_model("Demo Mist 1.5", "sd-1", "Thicker mist between the ridges.", phrases=["mist"]),
    lora_model("Demo Mist XL", "sdxl", "Thicker mist between the ridges.", phrases=["mist"]),
    lora_model("Demo Night XL", "sdxl", "Puts the scene under stars.", phrases=["night"], weight=0.8),
    vae_model("Demo VAE XL", "sdxl", "Changes nothing; here so that a VAE can be chosen."),
)


class Models:
    """The models of one server, found by key."""

    def __init__(self, models: Iterable[Json]) -> None:
        self._by_key: dict[str, Json] = {model["key"]: model for model in models}

    def get(self, key: str) -> Json | None:
        return self._by_key.get(key)

    def add(self, model: Json) -> None:
        self._by_key[model["key"]] = model

    def remove(self, key: str) -> bool:
        return self._by_key.pop(key, None) is not None

    def select(self, *, bases: Iterable[str] = (), kind: str | None = None, name: str | None = None) -> list[Json]:
        wanted = set(bases)
        return [
            model
            for model in self._by_key.values()
            if (not wanted or model["base"] in wanted)
            and (kind is None or model["type"] == kind)
            and (name is None or model["name"] == name)
        ]
