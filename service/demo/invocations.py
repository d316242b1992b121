"""What each node type does: from its filled-in fields to its result, with the progress it reports (FACTS §5)."""

from __future__ import annotations

import asyncio
import base64
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyvips

from service.demo import painter, png
from service.demo.clock import new_id
from service.demo.graph import Prepared
from service.demo.images import ImageNotFoundError, Images, Source
from service.demo.models import Models
from service.demo.nodes import MODEL_PARTS
from service.demo.painter import Scene
from service.demo.png import Pixels

Json = dict[str, Any]

_PREVIEW_SCALE = 8
_TENSORS_KEPT = 10_000


class NodeError(Exception):
    """A node that fails; `kind` is the exception's name as InvokeAI reports it."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True)
class Latents:
    """What a latents or noise name stands for: a scene at a size, or an image to start from."""

    width: int
    height: int
    seed: int = 0
    scene: Scene | None = None
    image_name: str | None = None
    strength: float = 1.0


class Tensors:
    """Latents and prompts by the name results carry; the oldest are forgotten."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Any] = OrderedDict()

    def keep(self, prefix: str, value: Any) -> str:
        name = f"{prefix}_{new_id()}"
        self._kept[name] = value
        if len(self._kept) > _TENSORS_KEPT:
            self._kept.popitem(last=False)
        return name

    def get(self, name: str) -> Any:
        return self._kept[name]


@dataclass
class Context:
    """What one node may use while it runs. `progress` reports, and raises when the item has been canceled."""

    prepared: Prepared
    models: Models
    images: Images
    tensors: Tensors
    source: Source
    texts: dict[str, str]
    has_board: Callable[[str], bool]
    step_seconds: float
    progress: Callable[..., Awaitable[None]]
    load: Callable[[Json, str], Awaitable[None]]

    @property
    def fields(self) -> Json:
        return self.prepared.invocation

    async def pixels(self, name: str) -> Pixels:
        try:
            return await asyncio.to_thread(self.images.pixels, name)
        except ImageNotFoundError as missing:
            raise NodeError("ImageRecordNotFoundException", "Image record not found") from missing

    async def save(self, pixels: Pixels) -> Json:
        await self.progress("Saving image")
        board = self.fields.get("board")
        on_board = board is not None and self.has_board(board["board_id"])  # a deleted board is passed over (FACTS §4)
        source = replace(
            self.source,
            is_intermediate=self.fields["is_intermediate"],
            node_id=self.prepared.id,
            board_id=board["board_id"] if on_board else None,
        )
        data, thumbnail = await asyncio.to_thread(self.images.encode, pixels, self.texts)
        return _image_result(self.images.add(data, thumbnail, source).dto())


Result = dict[str, Any]
Invocation = Callable[[Context], Awaitable[Result]]
INVOCATIONS: dict[str, Invocation] = {}


def _invocation(name: str) -> Callable[[Invocation], Invocation]:
    def register(function: Invocation) -> Invocation:
        INVOCATIONS[name] = function
        return function

    return register


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


def _image_result(dto: Json) -> Result:
    return {"image": {"image_name": dto["image_name"]}, "width": dto["width"], "height": dto["height"]}


# -- values


async def _value(context: Context) -> Result:
    return {"value": context.fields["value"]}


for _name in ("integer", "float", "boolean", "string"):
    INVOCATIONS[_name] = _value


@_invocation("core_metadata")
async def _core_metadata(context: Context) -> Result:
    own = {"id", "type", "is_intermediate", "use_cache"}
    given = {key: value for key, value in context.fields.items() if key not in own and value is not None}
    return {"metadata": _without_submodels(given) | {"app_version": "6.14.2"}}


def _without_submodels(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_submodels(part) for key, part in value.items() if part is not None}
    if isinstance(value, list):
        return [_without_submodels(part) for part in value]
    return value


@_invocation("collect")
async def _collect(context: Context) -> Result:
    return {"collection": context.fields["collection"]}


@_invocation("iterate")
async def _iterate(context: Context) -> Result:
    items, index = context.fields["collection"], context.fields["index"]
    return {"item": items[index], "index": index, "total": len(items)}


@_invocation("range")
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


@_invocation("main_model_loader")
async def _main_model_loader(context: Context) -> Result:
    model = _checked(context, context.fields["model"], "Unknown model {}")
    return {"vae": _vae(model), "clip": _clip(model), "unet": _unet(model)}


@_invocation("sdxl_model_loader")
async def _sdxl_model_loader(context: Context) -> Result:
    model = _checked(context, context.fields["model"], "Unknown model: {}")
    return {"unet": _unet(model), "clip": _clip(model), "clip2": _clip(model, "_2"), "vae": _vae(model)}


@_invocation("vae_loader")
async def _vae_loader(context: Context) -> Result:
    return {"vae": _vae(_checked(context, context.fields["vae_model"], "Unknown vae: {}!"), None)}


@_invocation("clip_skip")
async def _clip_skip(context: Context) -> Result:
    clip = context.fields["clip"]
    return {"clip": clip | {"skipped_layers": clip["skipped_layers"] + context.fields["skipped_layers"]}}


@_invocation("lora_selector")
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


@_invocation("noise")
async def _noise(context: Context) -> Result:
    width, height, seed = (context.fields[name] for name in ("width", "height", "seed"))
    name = context.tensors.keep("Tensor", Latents(width, height, seed))
    return {"noise": {"latents_name": name, "seed": seed}, "width": width, "height": height}


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list) else value


@_invocation("denoise_latents")
async def _denoise(context: Context) -> Result:
    fields = context.fields
    noise = context.tensors.get(fields["noise"]["latents_name"]) if fields["noise"] else None
    start = context.tensors.get(fields["latents"]["latents_name"]) if fields["latents"] else None
    if noise and start and (noise.width, noise.height) != (start.width, start.height):
        raise NodeError("Exception", "Incompatible 'noise' and 'latents' shapes")
    size = noise or start
    if size is None:
        raise NodeError("ValueError", "'latents' or 'noise' must be provided!")
    await context.load(fields["unet"]["unet"], "unet")
    await context.load(fields["unet"]["scheduler"], "scheduler")
    prompt = context.tensors.get(_first(fields["positive_conditioning"])["conditioning_name"])
    scene = _with_loras(context, Scene(prompt, noise.seed if noise else 0), fields["unet"]["loras"])
    strength = fields["denoising_end"] - fields["denoising_start"]
    made = Latents(size.width, size.height, scene.seed, scene, start and start.image_name, strength if start else 1.0)
    await _show_steps(context, made, round(fields["steps"] * max(0.0, strength)))
    name = context.tensors.keep("Tensor", made)
    return {"latents": {"latents_name": name, "seed": None}, "width": size.width, "height": size.height}


def _with_loras(context: Context, scene: Scene, loras: list[Json]) -> Scene:
    """A LoRA adds its trigger phrases to the prompt; one for mist thickens the air by its weight."""
    for lora in loras:
        model = context.models.get(lora["lora"]["key"]) or {}
        phrases = model.get("trigger_phrases") or []
        mist = lora["weight"] if "mist" in phrases else 0.0
        scene = replace(scene, prompt=" ".join([scene.prompt, *phrases]), mist=min(1.0, scene.mist + max(0.0, mist)))
    return scene


async def _show_steps(context: Context, made: Latents, steps: int) -> None:
    """One event a step and one at 0.0, with a JPEG at an eighth of the size (FACTS §5)."""
    small = max(1, made.width // _PREVIEW_SCALE), max(1, made.height // _PREVIEW_SCALE)
    picture = await _picture(context, replace(made, width=small[0], height=small[1]))
    scene = made.scene or Scene("", made.seed)
    for step in range(steps + 1 if steps else 0):
        if step and context.step_seconds:
            await asyncio.sleep(context.step_seconds)
        progress = step / steps
        jpeg = await asyncio.to_thread(_preview, picture, scene, progress)
        url = "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
        image = {"width": made.width, "height": made.height, "dataURL": url}
        await context.progress("Denoising", percentage=progress, image=image)


def _preview(picture: Pixels, scene: Scene, progress: float) -> bytes:
    return png.encode_jpeg(painter.half_done(picture, scene, progress))


async def _picture(context: Context, latents: Latents) -> Pixels:
    """What latents decode to. With a source image, the scene is painted over it as far as the strength says."""
    source = await context.pixels(latents.image_name) if latents.image_name else None
    return await asyncio.to_thread(_paint, latents, source)


def _paint(latents: Latents, source: Pixels | None) -> Pixels:
    width, height = latents.width, latents.height
    if source is not None:
        source = _resized(source, width, height)[..., :3]
    if latents.scene is None:
        return (
            source if source is not None else painter.half_done(np.zeros((height, width, 3), np.uint8), Scene("", 0), 0)
        )
    painted = painter.paint(latents.scene, width, height)
    if source is None:
        return painted
    share = np.float32(min(1.0, max(0.0, latents.strength)))
    return np.asarray(source + (painted.astype(np.float32) - source) * share, np.uint8)


def _resized(pixels: Pixels, width: int, height: int) -> Pixels:
    image = png.to_vips(pixels)
    return png.to_pixels(image.resize(width / image.width, vscale=height / image.height).crop(0, 0, width, height))


@_invocation("l2i")
async def _latents_to_image(context: Context) -> Result:
    latents = context.tensors.get(context.fields["latents"]["latents_name"])
    await context.load(context.fields["vae"]["vae"], "vae")
    await context.progress("Running VAE decoder")
    return await context.save(await _picture(context, latents))


@_invocation("i2l")
async def _image_to_latents(context: Context) -> Result:
    name = context.fields["image"]["image_name"]
    pixels = await context.pixels(name)
    await context.load(context.fields["vae"]["vae"], "vae")
    await context.progress("Running VAE encoder")
    height, width = (side // 8 * 8 for side in pixels.shape[:2])
    kept = context.tensors.keep("Tensor", Latents(width, height, image_name=name))
    return {"latents": {"latents_name": kept, "seed": None}, "width": width, "height": height}


# -- images


@_invocation("image")
async def _image(context: Context) -> Result:
    name = context.fields["image"]["image_name"]
    await context.pixels(name)
    return _image_result(context.images.get(name).dto())


@_invocation("blank_image")
async def _blank_image(context: Context) -> Result:
    fields, color = context.fields, context.fields["color"]
    if min(fields["width"], fields["height"]) < 0:
        raise NodeError("ValueError", "Width and height must be >= 0")
    parts = [color[part] for part in ("r", "g", "b", "a")][: len(fields["mode"])]
    return await context.save(np.full((fields["height"], fields["width"], len(parts)), parts, np.uint8))


@_invocation("img_resize")
async def _resize(context: Context) -> Result:
    fields = context.fields
    pixels = await context.pixels(fields["image"]["image_name"])
    return await context.save(await asyncio.to_thread(_resized, pixels, fields["width"], fields["height"]))


@_invocation("img_blur")
async def _blur(context: Context) -> Result:
    pixels = await context.pixels(context.fields["image"]["image_name"])
    return await context.save(await asyncio.to_thread(_blurred, pixels, context.fields["radius"]))


def _blurred(pixels: Pixels, radius: float) -> Pixels:
    image: pyvips.Image = png.to_vips(pixels)
    return png.to_pixels(image.gaussblur(radius) if radius > 0 else image)
