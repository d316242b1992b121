"""The models the demo offers: fixed, in the form `/api/v2/models/` answers (FACTS §7)."""

from __future__ import annotations

import hashlib
import uuid
from typing import Any

Json = dict[str, Any]

_NAMESPACE = uuid.UUID("5f0c63a2-6c6c-4d6e-9d7e-0d3b5b0c1f10")
_SOURCE = {"source_type": "path", "source_api_response": None, "source_url": None, "cover_image": None}
# fmt: off
_MAIN_DEFAULTS = (
    "vae", "vae_precision", "scheduler", "steps", "cfg_scale", "cfg_rescale_multiplier", "width", "height", "guidance",
    "cpu_only", "fp8_storage",
)
# fmt: on


def _common(name: str, kind: str, description: str, file_size: int) -> Json:
    place = "demo/" + name.lower().replace(" ", "-").replace(".", "-")
    return {
        "key": str(uuid.uuid5(_NAMESPACE, name)),
        "hash": "blake3:" + hashlib.sha256(name.encode()).hexdigest(),
        "path": place,
        "file_size": file_size,
        "name": name,
        "description": description,
        "source": place,
        **_SOURCE,
        "type": kind,
    }


def _main(name: str, base: str, description: str, file_size: int, **defaults: Any) -> Json:
    """A diffusers model; those of its default settings that are not given are null."""
    return _common(name, "main", description, file_size) | {
        "trigger_phrases": None,
        "default_settings": dict.fromkeys(_MAIN_DEFAULTS) | defaults,
        "format": "diffusers",
        "repo_variant": "",
        "prediction_type": "v_prediction" if base == "sd-2" else "epsilon",
        "variant": "normal",
        "base": base,
    }


def _lora(name: str, base: str, description: str, phrase: str, weight: float = 0.75) -> Json:
    return _common(name, "lora", description, 144_000_000) | {
        "trigger_phrases": [phrase],
        "default_settings": {"weight": weight, "weight_min": None, "weight_max": None},
        "format": "lycoris",
        "base": base,
    }


def _sizes(side: int, steps: int, cfg_scale: float, scheduler: str) -> Json:
    return {"width": side, "height": side, "steps": steps, "cfg_scale": cfg_scale, "scheduler": scheduler}


_VAE = _common("Demo VAE XL", "vae", "Changes nothing; here so that a VAE can be chosen.", 334_000_000)
_HILLS = "Layered hills at {} pixels; no neural network inside."
_DRAWS = "Draws layered hills; no neural network inside."

DEMO_MODELS: tuple[Json, ...] = (
    _main("Demo Hills 1.5", "sd-1", _DRAWS, 2_132_000_000, **_sizes(512, 20, 7.0, "euler")),
    _main("Demo Hills 2.1", "sd-2", _HILLS.format(768), 2_580_000_000, **_sizes(768, 24, 6.5, "dpmpp_2m")),
    _main("Demo Hills XL", "sdxl", _HILLS.format(1024), 6_938_000_000, **_sizes(1024, 28, 6.0, "dpmpp_2m_k")),
    _lora("Demo Mist 1.5", "sd-1", "Thicker mist between the ridges.", "mist"),
    _lora("Demo Mist XL", "sdxl", "Thicker mist between the ridges.", "mist"),
    _lora("Demo Night XL", "sdxl", "Puts the scene under stars.", "night", 0.8),
    _VAE | {"format": "diffusers", "repo_variant": "", "cpu_only": None, "base": "sdxl"},
)
