"""The body of `enqueue_batch` for a request, checked: one wrong type in it can stop a whole queue (FACTS §7)."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from typing import Any

from msgspec import Struct

from service.errors import ValidationError
from service.invokeai.graphs import sd1, sdxl
from service.invokeai.graphs.graph import Graph, ModelRef, Request, Source
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
    """Defaults of a base. A model's own default settings come first."""

    width: int
    height: int
    steps: int = 30
    cfg_scale: float = 7.5
    scheduler: str = "dpmpp_3m_k"


_BUILDERS: dict[str, tuple[Callable[[Request], Graph], Defaults]] = {
    "sd-1": (sd1.build, Defaults(512, 512)),
    "sd-2": (sd1.build, Defaults(768, 768)),
    "sdxl": (sdxl.build, Defaults(1024, 1024)),
}
SUPPORTED_BASES = frozenset(_BUILDERS)


def defaults(base: str) -> Defaults:
    return _of(base)[1]


def enqueue_body(request: Request) -> dict[str, Any]:
    """Items run in the order of the seeds: the k-th ascending item id has `seeds[k]` (FACTS §3)."""
    build, _ = _of(request.model.base)
    _check(request)
    return {
        "prepend": False,
        "batch": {
            "batch_id": request.batch_id,
            "origin": "darkroom",
            "destination": f"step:{request.step_id}",
            "graph": build(request).body(),
            "data": [[{"node_path": SEED_NODE, "field_name": SEED_FIELD, "items": request.seeds}]],
            "runs": 1,
        },
    }


def _of(base: str) -> tuple[Callable[[Request], Graph], Defaults]:
    if base not in _BUILDERS:
        raise ValidationError(f"Darkroom cannot generate with {base} models yet")
    return _BUILDERS[base]


def _check(request: Request) -> None:
    base = request.model.base
    rules = (
        (_are_seeds(request.seeds), f"seeds must be integers from 0 to {MAX_SEED}"),
        (isinstance(request.prompt, str), "prompt must be text"),
        (isinstance(request.negative_prompt, str), "negative_prompt must be text"),
        (_is_size(request.width), "width must be a positive multiple of 8"),
        (_is_size(request.height), "height must be a positive multiple of 8"),
        (_is_int(request.steps) and request.steps > 0, "steps must be a positive integer"),
        (_is_number(request.cfg_scale), "cfg_scale must be a number"),
        (request.scheduler in SCHEDULERS, f"unknown scheduler {request.scheduler!r}"),
        (_is_source(request.source), "the source must have a size, and a strength from 0 to 1"),
        *((of.base in (base, "any"), f"{of.name} is for {of.base}, not {base}") for of in _companions(request)),
    )
    for kept, complaint in rules:
        if not kept:
            raise ValidationError(complaint)


def _companions(request: Request) -> list[ModelRef]:
    return [lora.model for lora in request.loras] + ([request.vae] if request.vae else [])


def _is_source(source: Source | None) -> bool:
    if source is None:
        return True
    has_size = _is_int(source.width) and _is_int(source.height) and min(source.width, source.height) > 0
    return has_size and _is_number(source.strength) and 0 <= source.strength <= 1


def _are_seeds(values: list[int]) -> bool:
    return bool(values) and all(_is_int(seed) and 0 <= seed <= MAX_SEED for seed in values)


def _is_size(value: int) -> bool:
    return _is_int(value) and value > 0 and value % 8 == 0


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and isfinite(value)


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
