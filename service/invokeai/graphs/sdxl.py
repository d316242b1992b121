"""Text-to-image for sdxl."""

from __future__ import annotations

from service.invokeai.graphs.graph import Graph, Request
from service.invokeai.graphs.latents import add_denoising, add_inputs, add_loras, add_metadata


def text_to_image(request: Request) -> Graph:
    graph = Graph("darkroom_sdxl")
    add_inputs(graph, request)
    graph.add("loader", "sdxl_model_loader", model=request.model)
    sources = {"unet": "loader.unet", "clip": "loader.clip", "clip2": "loader.clip2"}
    sources = add_loras(graph, request, "sdxl_lora_collection_loader", sources)
    for side in ("positive", "negative"):
        graph.add(side, "sdxl_compel_prompt")
        # As InvokeAI's UI does: the prompt is its own style prompt.
        graph.connect(f"{side}_prompt.value", f"{side}.prompt")
        graph.connect(f"{side}_prompt.value", f"{side}.style")
        graph.connect(sources["clip"], f"{side}.clip")
        graph.connect(sources["clip2"], f"{side}.clip2")
    add_denoising(graph, request, sources["unet"])
    add_metadata(graph, request, "sdxl_txt2img")
    return graph
