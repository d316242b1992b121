"""Graphs for sdxl."""

from __future__ import annotations

from service.invokeai.graphs.graph import Graph, Request
from service.invokeai.graphs.latents import add_denoising, add_inputs, add_loras, add_metadata, add_source


def build(request: Request) -> Graph:
    graph = Graph("darkroom_sdxl")
    add_inputs(graph, request)
    graph.add("loader", "sdxl_model_loader", model=request.model)
    sources = {"unet": "loader.unet", "clip": "loader.clip", "clip2": "loader.clip2"}
    sources = add_loras(graph, request, "sdxl_lora_collection_loader", sources)
    for side in ("positive", "negative"):
        graph.add(side, "sdxl_compel_prompt")
        # As in InvokeAI's UI, the prompt is its own style prompt.
        graph.connect(f"{side}_prompt.value", f"{side}.prompt")
        graph.connect(f"{side}_prompt.value", f"{side}.style")
        graph.connect(sources["clip"], f"{side}.clip")
        graph.connect(sources["clip2"], f"{side}.clip2")
    add_denoising(graph, request, sources["unet"])
    add_source(graph, request)
    add_metadata(graph, request, "sdxl_txt2img" if request.source is None else "sdxl_img2img")
    return graph
