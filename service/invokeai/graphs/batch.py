"""A request as the body of `enqueue_batch`, checked: one wrong type in it can stop a whole queue (FACTS §7)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from service.errors import ValidationError
from service.invokeai.graphs import sd1, sdxl
from service.invokeai.graphs.graph import Graph, Request
from service.invokeai.graphs.latents import SEED_FIELD, SEED_NODE

MAX_SEED = 2**32 - 1

# fmt: off
SCHEDULERS = (
    "ddim", "ddpm", "deis", "deis_k", "lms", "lms_k", "pndm", "heun", "heun_k", "euler", "euler_k", "euler_a",
    "kdpm_2", "kdpm_2_k", "kdpm_2_a", "kdpm_2_a_k", "dpmpp_2s", "dpmpp_2s_k", "dpmpp_2m", "dpmpp_2m_k",
    "dpmpp_2m_sde", "dpmpp_2m_sde_k", "dpmpp_3m", "dpmpp_3m_k", "dpmpp_sde", "dpmpp_sde_k", "er_sde",
    "unipc", "unipc_k", "lcm", "tcd",
)
# fmt: on


class Defaults(Struct, frozen=True):
    """What a base does well with; a model's own default settings go before."""

    width: int
    height: int
    steps: int = 30
    cfg_scale: float = 7.5
    scheduler: str = "dpmpp_3m_k"


_BUILDERS: dict[str, tuple[Callable[[Request], Graph], Defaults]] = {
    "sd-1": (sd1.text_to_image, Defaults(512, 512)),
    "sd-2": (sd1.text_to_image, Defaults(768, 768)),
    "sdxl": (sdxl.text_to_image, Defaults(1024, 1024)),
}
SUPPORTED_BASES = frozenset(_BUILDERS)


def defaults(base: str) -> Defaults:
    return _of(base)[1]


def enqueue_body(request: Request) -> dict[str, Any]:
    """Items run in the order of the seeds: the k-th ascending item id has `seeds[k]` (FACTS §3)."""
    text_to_image, _ = _of(request.model.base)
    _check(request)
    return {
        "prepend": False,
        "batch": {
            "batch_id": request.batch_id,
            "origin": "darkroom",
            "destination": f"step:{request.step_id}",
            "graph": text_to_image(request).body(),
            "data": [[{"node_path": SEED_NODE, "field_name": SEED_FIELD, "items": request.seeds}]],
            "runs": 1,
        },
    }


def _of(base: str) -> tuple[Callable[[Request], Graph], Defaults]:
    if base not in _BUILDERS:
        raise ValidationError(f"Darkroom cannot generate with {base} models yet")
    return _BUILDERS[base]


def _check(request: Request) -> None:
    if not request.seeds or not all(_is_int(seed) and 0 <= seed <= MAX_SEED for seed in request.seeds):
        raise ValidationError(f"seeds must be integers from 0 to {MAX_SEED}")
    for name, size in (("width", request.width), ("height", request.height)):
        if not _is_int(size) or size <= 0 or size % 8:
            raise ValidationError(f"{name} must be a positive multiple of 8")
    if not _is_int(request.steps) or request.steps < 1:
        raise ValidationError("steps must be a positive integer")
    if request.scheduler not in SCHEDULERS:
        raise ValidationError(f"unknown scheduler {request.scheduler!r}")
    for lora in request.loras:
        if lora.model.base != request.model.base:
            raise ValidationError(f"LoRA {lora.model.name} is for {lora.model.base}, not {request.model.base}")
    if request.vae and request.vae.base != request.model.base:
        raise ValidationError(f"VAE {request.vae.name} is for {request.vae.base}, not {request.model.base}")


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
