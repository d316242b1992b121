"""What the Stable Diffusion bases share: inputs, LoRAs, denoising in latent space, decoding, metadata (graphs.md)."""

from __future__ import annotations

from typing import Any

from service.invokeai.graphs.graph import Graph, Request

SEED_NODE, SEED_FIELD = "seed", "value"
"""Where a batch's `data` puts each item's seed; the metadata follows by its edge."""


def add_inputs(graph: Graph, request: Request) -> None:
    graph.add(SEED_NODE, "integer", value=request.seeds[0])
    graph.add("positive_prompt", "string", value=request.prompt)
    graph.add("negative_prompt", "string", value=request.negative_prompt)


def add_loras(graph: Graph, request: Request, loader: str, sources: dict[str, str]) -> dict[str, str]:
    """Leads `sources` (field → output) through the LoRAs, if any; answers the outputs to use instead."""
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
    """From noise to the picture; `positive` and `negative` are the conditioning nodes, `loader` the model's."""
    graph.add("noise", "noise", width=request.width, height=request.height, use_cpu=True)
    graph.add(
        "denoise",
        "denoise_latents",
        steps=request.steps,
        cfg_scale=request.cfg_scale,
        cfg_rescale_multiplier=0,
        scheduler=request.scheduler,
        denoising_start=0,
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


def add_metadata(graph: Graph, request: Request, generation_mode: str, **more: Any) -> None:
    """The keys InvokeAI's own UI writes and recalls, and `darkroom_batch` (rule 2)."""
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
        **({"vae": request.vae} if request.vae else {}),
        **({"loras": request.loras} if request.loras else {}),
    )
    graph.connect(f"{SEED_NODE}.{SEED_FIELD}", "metadata.seed")
    graph.connect("positive_prompt.value", "metadata.positive_prompt")
    graph.connect("negative_prompt.value", "metadata.negative_prompt")
    graph.connect("metadata.metadata", "output.metadata")
