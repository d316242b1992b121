"""Nodes that all Stable Diffusion graphs share: inputs, LoRAs, denoising, source, decoding, metadata (graphs.md)."""

from __future__ import annotations

from typing import Any, NamedTuple

from service.invokeai.graphs.graph import Graph, Request

SEED_NODE, SEED_FIELD = "seed", "value"
"""Where a batch's `data` puts each item's seed; the metadata follows by its edge."""


def add_inputs(graph: Graph, request: Request) -> None:
    graph.add(SEED_NODE, "integer", value=request.seeds[0])
    graph.add("positive_prompt", "string", value=request.prompt)
    graph.add("negative_prompt", "string", value=request.negative_prompt)


def add_loras(graph: Graph, request: Request, loader: str, sources: dict[str, str]) -> dict[str, str]:
    """Connects `sources` (field → output) to the LoRAs, if any, and returns the outputs to use instead."""
    if not request.loras:
        return sources
    graph.add("lora_collector", "collect")
    graph.add("loras", loader)
    for number, lora in enumerate(request.loras):
        graph.add(f"lora_{number}", "lora_selector", lora=lora.model, weight=lora.weight)
        graph.connect(f"lora_{number}.lora", "lora_collector.item")
    graph.connect("lora_collector.collection", "loras.loras")
    for field, source in sources.items():
        graph.connect(source, f"loras.{field}")
    return {field: f"loras.{field}" for field in sources}


def add_denoising(graph: Graph, request: Request, unet: str) -> None:
    """Adds the nodes from noise to the image. `positive` and `negative` are the conditioning nodes, `loader` the
    model's."""
    graph.add("noise", "noise", width=request.width, height=request.height, use_cpu=True)
    graph.add(
        "denoise",
        "denoise_latents",
        steps=request.steps,
        cfg_scale=request.cfg_scale,
        cfg_rescale_multiplier=0,
        scheduler=request.scheduler,
        denoising_start=0 if request.source is None else round(1 - request.source.strength, 6),
        denoising_end=1,
    )
    # fp32: half precision paints black with some real sdxl VAEs.
    graph.add("output", "l2i", fp32=True, is_intermediate=False, use_cache=False)
    graph.connect(f"{SEED_NODE}.{SEED_FIELD}", "noise.seed")
    graph.connect(unet, "denoise.unet")
    graph.connect("positive.conditioning", "denoise.positive_conditioning")
    graph.connect("negative.conditioning", "denoise.negative_conditioning")
    graph.connect("noise.noise", "denoise.noise")
    graph.connect("denoise.latents", "output.latents")
    if request.vae:
        graph.add("vae", "vae_loader", vae_model=request.vae)
    graph.connect("vae.vae" if request.vae else "loader.vae", "output.vae")


def add_source(graph: Graph, request: Request) -> None:
    """Adds the nodes from the source image, if any, to the latents that denoising begins with. The source's name is a
    field of the first node: an `image` node would name it among its results (sighted is not made). All of these are
    intermediate."""
    source = request.source
    if source is None:
        return
    latest: str | None = None

    def add(node_id: str, kind: str, **fields: Any) -> None:
        nonlocal latest
        if latest is None:
            graph.add(node_id, kind, image={"image_name": source.image_name}, **fields)
        else:
            graph.add(node_id, kind, **fields)
            graph.connect(latest, f"{node_id}.image")
        latest = f"{node_id}.image"

    part = same_aspect(source.width, source.height, request.width, request.height)
    if (part.width, part.height) != (source.width, source.height):
        add("crop", "img_crop", x=part.left, y=part.top, width=part.width, height=part.height)
    if (part.width, part.height) != (request.width, request.height):
        # The latents must have the size of the noise.
        add("resize", "img_resize", width=request.width, height=request.height, resample_mode="lanczos")
    add("encode", "i2l", fp32=True)
    graph.connect("vae.vae" if request.vae else "loader.vae", "encode.vae")
    graph.connect("encode.latents", "denoise.latents")


class Part(NamedTuple):
    left: int
    top: int
    width: int
    height: int


def same_aspect(width: int, height: int, asked_width: int, asked_height: int) -> Part:
    """The largest part in the middle that has the asked aspect ratio; the whole if that differs by a pixel at most."""
    scale = min(width / asked_width, height / asked_height)
    part_width, part_height = max(1, round(asked_width * scale)), max(1, round(asked_height * scale))
    if width - part_width <= 1 and height - part_height <= 1:
        return Part(0, 0, width, height)
    return Part((width - part_width) // 2, (height - part_height) // 2, part_width, part_height)


def add_metadata(graph: Graph, request: Request, generation_mode: str, **more: Any) -> None:
    """Adds metadata: the keys that InvokeAI's own UI writes and recalls, and `darkroom_batch` (direct correlation)."""
    graph.add(
        "metadata",
        "core_metadata",
        generation_mode=generation_mode,
        model=request.model,
        width=request.width,
        height=request.height,
        steps=request.steps,
        cfg_scale=request.cfg_scale,
        cfg_rescale_multiplier=0,
        scheduler=request.scheduler,
        rand_device="cpu",
        darkroom_batch=request.batch_id,
        **more,
        **({"strength": request.source.strength, "init_image": request.source.image_name} if request.source else {}),
        **({"vae": request.vae} if request.vae else {}),
        **({"loras": request.loras} if request.loras else {}),
    )
    graph.connect(f"{SEED_NODE}.{SEED_FIELD}", "metadata.seed")
    graph.connect("positive_prompt.value", "metadata.positive_prompt")
    graph.connect("negative_prompt.value", "metadata.negative_prompt")
    graph.connect("metadata.metadata", "output.metadata")
