"""Reads metadata of ComfyUI: the graph that ran (`prompt`), or the editor's (`workflow`).

The prompts are found from the image back to the nearest sampler, and from there along its inputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

from service.media.metadata.comfyui_graph import ComfyGraph, Link, read_prompt, read_workflow
from service.media.metadata.comfyui_text import Prompts
from service.media.metadata.json_text import decode_table
from service.media.metadata.schedulers import invokeai_scheduler
from service.media.metadata.values import Json, lora, model, number, text, told, whole

MODEL_FILES = ("ckpt_name", "unet_name", "model_name", "base_ckpt_name", "gguf_name")
MODEL_PATHS = ("model", "unet", "guider", "base_model", "model1", "basic_pipe", "pipe", "")
LORA_LISTS = ("lora_stack", "optional_lora_stack", "prev_lora")
SEEDS = ("seed", "noise_seed", "value", "int", "number")
VALUES = ("value", "int", "float", "number", "string", "a")
MAX_LORAS = 50
MAX_PARTS = 20


def read_comfyui(texts: Mapping[str, str]) -> Json | None:
    """The metadata under InvokeAI's names. Some nodes that save, and Civitai, write the graph into `UserComment`, alone
    or beside the editor's."""
    comment = decode_table(texts.get("UserComment")) if "class_type" in texts.get("UserComment", "") else {}
    for name, as_graph in (("prompt", read_prompt), ("workflow", read_workflow)):
        inside = decode_table(texts[name]) if texts.get(name, "").lstrip().startswith("{") else {}
        for found in (inside, comment.get(name), comment):
            graph = as_graph(found)
            if graph is not None and (metadata := _metadata(graph)):
                return metadata
    return None


def _metadata(graph: ComfyGraph) -> Json:
    sampler = _sampler(graph)
    if sampler is None:
        return {}
    sampler = _noise_adder(graph, sampler)
    prompts = Prompts(graph)
    model_found, loras = _model_and_loras(graph, sampler)
    size = _size(graph, sampler)
    settings = _settings(graph, sampler)
    return told(
        {
            "positive_prompt": prompts.of(sampler, "positive"),
            "negative_prompt": prompts.of(sampler, "negative"),
            "seed": _seed(graph, sampler),
            "steps": whole(settings.get("steps")),
            "cfg_scale": number(settings.get("cfg")),
            "guidance": number(prompts.guidance),
            "scheduler": invokeai_scheduler(
                text(settings.get("sampler_name")) or "", text(settings.get("scheduler")) or ""
            ),
            "strength": _strength(settings.get("denoise")),
            "width": size and size[0],
            "height": size and size[1],
            "model": model_found,
            "loras": loras[:MAX_LORAS],
        }
    )


def _is_sampler(graph: ComfyGraph, node: str) -> bool:
    inputs = graph.inputs[node]
    if isinstance(inputs.get("guider"), Link):
        return True
    if not any(isinstance(inputs.get(name), Link) for name in ("positive", "text_embeds", "conditioning")):
        return False
    return any(name in inputs for name in ("seed", "noise_seed", "sampler_name", "sigmas"))


def _sampler(graph: ComfyGraph) -> str | None:
    """The sampler nearest to the image. One that works on a finished image (details, enlargement) counts only if there
    is no other."""
    second = None
    outputs = graph.outputs()
    for start in [[output] for output in outputs[:1]] + [outputs]:
        for level in graph.levels_behind(start):
            for node in level:
                if not _is_sampler(graph, node):
                    continue
                if not any(isinstance(graph.inputs[node].get(name), Link) for name in ("image", "images", "pixels")):
                    return node
                second = second or node
    return second


def _noise_adder(graph: ComfyGraph, sampler: str) -> str:
    """The sampler that added the noise. A sampler that adds none continues the work of the one before it, which has the
    seed."""
    seen = {sampler}
    while graph.inputs[sampler].get("add_noise") in ("disable", False):
        before = graph.along(graph.inputs[sampler].get("latent_image"), lambda node: _latent(graph, node))
        found = next((node for node in before if _is_sampler(graph, node)), None)
        if found is None or found in seen:
            break
        seen.add(found)
        sampler = found
    return sampler


def _latent(graph: ComfyGraph, node: str) -> Any:
    inputs = graph.inputs[node]
    return next((inputs[name] for name in ("latent_image", "samples", "latent", "") if name in inputs), None)


def _settings(graph: ComfyGraph, sampler: str) -> Json:
    """The settings of the sampler, and of the nodes that it is made of."""
    parts = [sampler]
    for name in ("sampler", "sigmas", "guider", "noise"):
        link = graph.inputs[sampler].get(name)
        parts += islice(graph.along(link, graph.getter(name)), MAX_PARTS)
    found: Json = {}
    for node in parts:
        for name in ("steps", "cfg", "sampler_name", "scheduler", "denoise"):
            if found.get(name) is None and name in graph.inputs[node]:
                found[name] = _value(graph, node, name)
    return found


def _value(graph: ComfyGraph, node: str, name: str, names: tuple[str, ...] = VALUES) -> Any:
    """The input's value, or that of the node that gives it."""
    value = graph.inputs[node].get(name)
    for source in graph.along(value, lambda node: _only_link(graph, node)):
        inputs = graph.inputs[source]
        plain = (inputs[own] for own in (name, *names) if own in inputs and not isinstance(inputs[own], Link))
        if (value := next((value for value in plain if value is not None), None)) is not None:
            return value
    return None if isinstance(value, Link) else value


def _only_link(graph: ComfyGraph, node: str) -> Link | None:
    links = [link for _, link in graph.links(node)]
    return links[0] if len(links) == 1 else None


def _seed(graph: ComfyGraph, sampler: str) -> int | None:
    """The sampler's seed, or that of the noise that it gets."""
    for name in SEEDS[:2]:
        if (seed := whole(_value(graph, sampler, name, SEEDS))) is not None:
            return seed
    noise = graph.inputs[sampler].get("noise")
    for node in graph.along(noise, lambda node: _only_link(graph, node)):
        for name in SEEDS[:2]:
            if (seed := whole(_value(graph, node, name, SEEDS))) is not None:
                return seed
    return None


def _strength(denoise: Any) -> int | float | None:
    """Denoising strength of an image-to-image: less than 1."""
    found = number(denoise)
    return found if found is not None and 0 <= found < 1 else None


def _size(graph: ComfyGraph, sampler: str) -> tuple[int, int] | None:
    """The size of the latent image that it began with."""
    start = _latent(graph, sampler)
    for node in graph.along(start, lambda node: _latent(graph, node)):
        width, height = (whole(_value(graph, node, name)) for name in ("width", "height"))
        if width and height:
            return width, height
    return None


def _model_and_loras(graph: ComfyGraph, sampler: str) -> tuple[Json | None, list[Json]]:
    """The model, found back along the model's path to the node that loads it, and the LoRAs in the order in which they
    are added."""
    start = next((link for name, link in graph.links(sampler) if name in ("model", "guider")), None)
    loras: list[Json] = []
    for node in graph.along(start, lambda node: _model_source(graph, node)):
        loras = _loras(graph, node) + loras
        for name in MODEL_FILES:
            if found := model(_value(graph, node, name)):
                return found, loras
    return None, loras


def _model_source(graph: ComfyGraph, node: str) -> Any:
    inputs = graph.inputs[node]
    return next((inputs[name] for name in MODEL_PATHS if isinstance(inputs.get(name), Link)), _only_link(graph, node))


def _loras(graph: ComfyGraph, node: str) -> list[Json]:
    """LoRAs that the node adds, and those of a stack that it gets."""
    found = _own_loras(graph.inputs[node])
    for name in LORA_LISTS:
        for stack in graph.along(graph.inputs[node].get(name), lambda node: _stack_before(graph, node)):
            found = _own_loras(graph.inputs[stack]) + found
    return found


def _stack_before(graph: ComfyGraph, node: str) -> Any:
    return next((graph.inputs[node][name] for name in LORA_LISTS if name in graph.inputs[node]), None)


def _own_loras(inputs: Json) -> list[Json]:
    """LoRAs in a node's inputs: one, `lora_name`; several with numbers, `lora_name_1` or `lora_01`; or tables with
    `lora` and `strength`."""
    found = []
    for name, value in inputs.items():
        if isinstance(value, dict) and isinstance(value.get("lora"), str):
            found.append(lora(value["lora"], value.get("strength")) if value.get("on", True) else None)
        elif isinstance(value, str) and name.startswith("lora") and not name.startswith("lora_syntax"):
            number_of_it = name.removeprefix("lora_name").removeprefix("lora")
            weight = next((inputs[key] for key in _weights(number_of_it) if key in inputs), None)
            is_off = str(inputs.get(f"switch{number_of_it}", "On")).lower() == "off"
            found.append(None if is_off else lora(value, weight))
    return [entry for entry in found if entry]


def _weights(number_of_it: str) -> list[str]:
    names = (
        "strength_model",
        "lora_model_strength",
        "model_weight",
        "lora_wt",
        "model_str",
        "strength",
        "lora_strength",
    )
    return [f"{name}{number_of_it}" for name in names]
