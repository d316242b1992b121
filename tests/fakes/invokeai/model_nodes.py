"""The nodes of values, models and LoRAs, and the table of what each node type does (FACTS §5)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from tests.fakes.invokeai.checks import MODEL_PARTS
from tests.fakes.invokeai.processor import Node, NodeError

Json = dict[str, Any]
Work = Callable[[Node], Awaitable[Json]]

NODES: dict[str, Work] = {}


def does(*types: str) -> Callable[[Work], Work]:
    """The function is what nodes of these types do."""

    def register(function: Work) -> Work:
        NODES.update(dict.fromkeys(types, function))
        return function

    return register


# -- values


@does("integer", "float", "boolean", "string")
async def _value(node: Node) -> Json:
    return {"value": node.fields["value"], "type": f"{node.fields['type']}_output"}


@does("core_metadata")
async def _core_metadata(node: Node) -> Json:
    own = {"id", "type", "is_intermediate", "use_cache"}
    given = {key: value for key, value in node.fields.items() if key not in own and value is not None}
    return {"metadata": _without_submodels(given) | {"app_version": "6.14.2"}, "type": "metadata_output"}


def _without_submodels(value: Any) -> Any:
    """Models are named by their five fields; other nulls inside a value stay."""
    if isinstance(value, dict):
        return {key: _without_submodels(part) for key, part in value.items() if key != "submodel_type" or part}
    if isinstance(value, list):
        return [_without_submodels(part) for part in value]
    return value


@does("collect")
async def _collect(node: Node) -> Json:
    return {"collection": node.fields["collection"], "type": "collect_output"}


@does("iterate")
async def _iterate(node: Node) -> Json:
    items, index = node.fields["collection"], node.fields["index"]
    return {"item": items[index], "index": index, "total": len(items), "type": "iterate_output"}


@does("range")
async def _range(node: Node) -> Json:
    start, stop, step = (node.fields[name] for name in ("start", "stop", "step"))
    if start >= stop:
        raise NodeError("ValueError", "start must be less than stop")
    return {"collection": list(range(start, stop, step)), "type": "integer_collection_output"}


# -- models


def _known(node: Node, model: Json, complaint: str) -> Json:
    if model["key"] not in node.models:
        raise NodeError("Exception", complaint.format(model["key"]))
    return {part: model[part] for part in MODEL_PARTS}


def _part(model: Json, name: str | None) -> Json:
    return model | {"submodel_type": name}


def _clip(model: Json, suffix: str = "") -> Json:
    parts = {name: _part(model, f"{name}{suffix}") for name in ("tokenizer", "text_encoder")}
    return parts | {"skipped_layers": 0, "loras": []}


def _unet(model: Json) -> Json:
    parts = {name: _part(model, name) for name in ("unet", "scheduler")}
    return parts | {"loras": [], "seamless_axes": [], "freeu_config": None}


def _vae(model: Json, submodel: str | None = "vae") -> Json:
    return {"vae": _part(model, submodel), "seamless_axes": []}


@does("main_model_loader")
async def _main_model_loader(node: Node) -> Json:
    model = _known(node, node.fields["model"], "Unknown model {}")
    return {"vae": _vae(model), "type": "model_loader_output", "clip": _clip(model), "unet": _unet(model)}


@does("sdxl_model_loader")
async def _sdxl_model_loader(node: Node) -> Json:
    model = _known(node, node.fields["model"], "Unknown model: {}")
    parts = {"unet": _unet(model), "clip": _clip(model), "clip2": _clip(model, "_2"), "vae": _vae(model)}
    return parts | {"type": "sdxl_model_loader_output"}


@does("vae_loader")
async def _vae_loader(node: Node) -> Json:
    return {"vae": _vae(_known(node, node.fields["vae_model"], "Unknown vae: {}!"), None), "type": "vae_output"}


@does("clip_skip")
async def _clip_skip(node: Node) -> Json:
    clip = node.fields["clip"]
    skipped = clip["skipped_layers"] + node.fields["skipped_layers"]
    return {"clip": clip | {"skipped_layers": skipped}, "type": "clip_skip_output"}


@does("lora_selector")
async def _lora_selector(node: Node) -> Json:
    return {"lora": {name: node.fields[name] for name in ("lora", "weight")}, "type": "lora_selector_output"}


@does("lora_collection_loader", "sdxl_lora_collection_loader")
async def _lora_collection_loader(node: Node) -> Json:
    kind: str = node.fields["type"]
    family = ("sdxl",) if kind.startswith("sdxl") else ("sd-1", "sd-2")
    loras: dict[str, Json] = {}
    for lora in node.fields["loras"] or []:
        _known(node, lora["lora"], "Unknown lora: {}!")
        if lora["lora"]["base"] not in family:
            raise NodeError("AssertionError", "")
        loras.setdefault(lora["lora"]["key"], lora)
    parts = {name: node.fields[name] for name in ("unet", "clip", "clip2") if node.fields.get(name)}
    with_loras = {name: part | {"loras": [*part["loras"], *loras.values()]} for name, part in parts.items()}
    return with_loras | {"type": kind.replace("collection_loader", "loader_output")}
