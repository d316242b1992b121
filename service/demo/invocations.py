"""The nodes that handle values, models and prompts, and how any node is run (FACTS §5)."""

from __future__ import annotations

from typing import Any

from service.demo import picture_nodes
from service.demo.checks import MODEL_PARTS
from service.demo.context import INVOCATIONS, Context, NodeError, Result, invocation

Json = dict[str, Any]

__all__ = ["invoke", "picture_nodes"]


async def invoke(context: Context) -> Result:
    """Runs the node; NodeError says why not. The result is whole, as events carry it."""
    node = context.prepared
    for field in node.type.fields:
        if field.required and node.invocation.get(field.name) is None:
            kind = "RequiredConnectionException" if field.wired else "MissingInputException"
            words = "missing connections" if field.wired else "missing value or connection"
            raise NodeError(kind, f"Node {node.id} {words} for field {field.name}")
    result = await INVOCATIONS[node.invocation["type"]](context)
    return {"output_meta": None, **result, "type": node.type.output}


# -- values


async def _value(context: Context) -> Result:
    return {"value": context.fields["value"]}


for _name in ("integer", "float", "boolean", "string"):
    INVOCATIONS[_name] = _value


@invocation("core_metadata")
async def _core_metadata(context: Context) -> Result:
    own = {"id", "type", "is_intermediate", "use_cache"}
    given = {key: value for key, value in context.fields.items() if key not in own and value is not None}
    return {"metadata": _without_submodels(given) | {"app_version": "6.14.2"}}


def _without_submodels(value: Any) -> Any:
    """Models are named by their five fields; other nulls inside a value stay."""
    if isinstance(value, dict):
        return {key: _without_submodels(part) for key, part in value.items() if key != "submodel_type" or part}
    if isinstance(value, list):
        return [_without_submodels(part) for part in value]
    return value


@invocation("collect")
async def _collect(context: Context) -> Result:
    return {"collection": context.fields["collection"]}


@invocation("iterate")
async def _iterate(context: Context) -> Result:
    items, index = context.fields["collection"], context.fields["index"]
    return {"item": items[index], "index": index, "total": len(items)}


@invocation("range")
async def _range(context: Context) -> Result:
    fields = context.fields
    if fields["start"] >= fields["stop"]:
        raise NodeError("ValueError", "start must be less than stop")
    return {"collection": list(range(fields["start"], fields["stop"], fields["step"]))}


# -- models


def _checked(context: Context, model: Json, complaint: str) -> Json:
    if context.models.get(model["key"]) is None:
        raise NodeError("Exception", complaint.format(model["key"]))
    return {part: model[part] for part in MODEL_PARTS}


def _clip(model: Json, suffix: str = "") -> Json:
    return {
        "tokenizer": model | {"submodel_type": f"tokenizer{suffix}"},
        "text_encoder": model | {"submodel_type": f"text_encoder{suffix}"},
        "skipped_layers": 0,
        "loras": [],
    }


def _unet(model: Json) -> Json:
    return {
        "unet": model | {"submodel_type": "unet"},
        "scheduler": model | {"submodel_type": "scheduler"},
        "loras": [],
        "seamless_axes": [],
        "freeu_config": None,
    }


def _vae(model: Json, submodel: str | None = "vae") -> Json:
    return {"vae": model | {"submodel_type": submodel}, "seamless_axes": []}


@invocation("main_model_loader")
async def _main_model_loader(context: Context) -> Result:
    model = _checked(context, context.fields["model"], "Unknown model {}")
    return {"vae": _vae(model), "type": "model_loader_output", "clip": _clip(model), "unet": _unet(model)}


@invocation("sdxl_model_loader")
async def _sdxl_model_loader(context: Context) -> Result:
    model = _checked(context, context.fields["model"], "Unknown model: {}")
    return {"unet": _unet(model), "clip": _clip(model), "clip2": _clip(model, "_2"), "vae": _vae(model)}


@invocation("vae_loader")
async def _vae_loader(context: Context) -> Result:
    return {"vae": _vae(_checked(context, context.fields["vae_model"], "Unknown vae: {}!"), None)}


@invocation("clip_skip")
async def _clip_skip(context: Context) -> Result:
    clip = context.fields["clip"]
    return {"clip": clip | {"skipped_layers": clip["skipped_layers"] + context.fields["skipped_layers"]}}


@invocation("lora_selector")
async def _lora_selector(context: Context) -> Result:
    return {"lora": {"lora": context.fields["lora"], "weight": context.fields["weight"]}}


async def _lora_collection_loader(context: Context) -> Result:
    given = context.fields["loras"] or []
    loras: dict[str, Json] = {}
    family = ("sdxl",) if context.prepared.invocation["type"].startswith("sdxl") else ("sd-1", "sd-2")
    for lora in given if isinstance(given, list) else [given]:
        _checked(context, lora["lora"], "Unknown lora: {}!")
        if lora["lora"]["base"] not in family:
            raise NodeError("AssertionError", "")
        loras.setdefault(lora["lora"]["key"], lora)
    parts = {name: context.fields[name] for name in context.prepared.type.outputs}
    return {name: part and part | {"loras": [*part["loras"], *loras.values()]} for name, part in parts.items()}


INVOCATIONS["lora_collection_loader"] = _lora_collection_loader
INVOCATIONS["sdxl_lora_collection_loader"] = _lora_collection_loader


# -- conditioning, latents


async def _prompt(context: Context) -> Result:
    clip = context.fields["clip"]
    await context.load(clip["text_encoder"], "text_encoder")
    await context.load(clip["tokenizer"], "tokenizer")
    await context.progress("Building conditioning")
    name = context.tensors.keep("ConditioningFieldData", context.fields["prompt"])
    return {"conditioning": {"conditioning_name": name, "mask": None}}


INVOCATIONS["compel"] = _prompt
INVOCATIONS["sdxl_compel_prompt"] = _prompt
