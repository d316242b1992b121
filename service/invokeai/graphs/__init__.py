"""Building the graphs that InvokeAI runs: one module for each base model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from service.invokeai.graphs.batch import MAX_SEED, SCHEDULERS, SUPPORTED_BASES, Defaults, defaults, enqueue_body
from service.invokeai.graphs.graph import Lora, ModelRef, Request, Source

__all__ = ["MAX_SEED", "SCHEDULERS", "SUPPORTED_BASES", "Defaults", "Lora", "ModelRef", "Source", "build", "defaults"]


def build(  # noqa: PLR0913 (what a picture takes)
    model: ModelRef,
    *,
    prompt: str,
    negative_prompt: str,
    width: int,
    height: int,
    steps: int,
    cfg_scale: float,
    scheduler: str,
    seeds: Sequence[int],
    batch_id: object,
    step_id: object,
    vae: ModelRef | None = None,
    loras: Sequence[Lora] = (),
    source: Source | None = None,
) -> dict[str, Any]:
    """The body of `enqueue_batch`, one item for each seed: image-to-image if there is a source, else text-to-image.
    Raises `ValidationError` for values that break InvokeAI."""
    request = Request(
        model=model,
        prompt=prompt,
        negative_prompt=negative_prompt,
        width=width,
        height=height,
        steps=steps,
        cfg_scale=cfg_scale,
        scheduler=scheduler,
        seeds=list(seeds),
        batch_id=str(batch_id),
        step_id=str(step_id),
        vae=vae,
        loras=tuple(loras),
        source=source,
    )
    return enqueue_body(request)
