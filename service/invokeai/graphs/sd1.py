"""Graphs for sd-1 and sd-2, which differ only in the model."""

from __future__ import annotations

from service.invokeai.graphs.graph import Graph, Request
from service.invokeai.graphs.latents import add_denoising, add_inputs, add_loras, add_metadata, add_source


def build(request: Request) -> Graph:
    graph = Graph("darkroom_sd1")
    add_inputs(graph, request)
    graph.add("loader", "main_model_loader", model=request.model)
    graph.add("clip_skip", "clip_skip", skipped_layers=0)
    graph.connect("loader.clip", "clip_skip.clip")
    sources = {"unet": "loader.unet", "clip": "clip_skip.clip"}
    sources = add_loras(graph, request, "lora_collection_loader", sources)
    for side in ("positive", "negative"):
        graph.add(side, "compel")
        graph.connect(f"{side}_prompt.value", f"{side}.prompt")
        graph.connect(sources["clip"], f"{side}.clip")
    add_denoising(graph, request, sources["unet"])
    add_source(graph, request)
    add_metadata(graph, request, "txt2img" if request.source is None else "img2img", clip_skip=0)
    return graph
