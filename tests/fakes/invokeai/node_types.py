"""The node types that the stand-in knows: their fields in InvokeAI's order, and defaults (graphs.md, openapi.json)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.fakes.invokeai import checks
from tests.fakes.invokeai.checks import Check, InvalidFieldError

Json = dict[str, Any]

_SCHEDULER_NAMES = (
    "ddim ddpm deis deis_k lms lms_k pndm heun heun_k euler euler_k euler_a kdpm_2 kdpm_2_k kdpm_2_a kdpm_2_a_k "
    "dpmpp_2s dpmpp_2s_k dpmpp_2m dpmpp_2m_k dpmpp_2m_sde dpmpp_2m_sde_k dpmpp_3m dpmpp_3m_k dpmpp_sde dpmpp_sde_k "
    "er_sde unipc unipc_k lcm tcd"
)
SCHEDULERS = tuple(_SCHEDULER_NAMES.split())
GENERATION_MODES = tuple(
    [
        f"{base}{mode}"
        for base in ("", "sdxl_", "sd3_", "flux_")
        for mode in ("txt2img", "img2img", "inpaint", "outpaint")
    ]
)


@dataclass(frozen=True)
class Field:
    """One input of a node. `required`: needs a value or an edge when the node runs; `wired`: only an edge will do."""

    name: str
    check: Check
    default: Any = None
    required: bool = False
    wired: bool = False


@dataclass(frozen=True)
class NodeType:
    """What InvokeAI publishes of a node type. `saves`: it has board and metadata; `open`: it takes any key."""

    name: str
    output: str
    outputs: tuple[str, ...]
    fields: tuple[Field, ...]
    saves: bool = False
    use_cache: bool = True
    open: bool = False

    def field(self, name: str) -> Field | None:
        return next((field for field in self.all_fields() if field.name == name), None)

    def all_fields(self) -> tuple[Field, ...]:
        return (*_SAVING, *self.fields) if self.saves else self.fields

    def parse(self, node_id: str, given: Json) -> Json:
        """The node as InvokeAI keeps it: every field present, in order, values coerced; else InvalidFieldError."""
        saving = {field.name: _value(field, given) for field in _SAVING} if self.saves else {}
        own = {field.name: _value(field, given) for field in self.fields}
        base = {
            "id": node_id,
            "is_intermediate": checks.boolean(given.get("is_intermediate", False)),
            "use_cache": checks.boolean(given.get("use_cache", self.use_cache)),
        }
        known = {*saving, *base, *own, "type"}
        extra = {key: value for key, value in given.items() if key not in known} if self.open else {}
        return {**saving, **base, **own, "type": self.name, **extra}


def _value(field: Field, given: Json) -> Any:
    if field.name not in given:
        return list(field.default) if isinstance(field.default, tuple) else field.default
    value = given[field.name]
    if value is None and field.default is None:
        return None
    try:
        return field.check(value)
    except InvalidFieldError as invalid:
        invalid.at = (field.name, *invalid.at)
        raise


_SAVING = (Field("board", checks.record("board_id")), Field("metadata", checks.anything, wired=True))


def _wire(name: str, *, required: bool = True) -> Field:
    return Field(name, checks.anything, required=required, wired=True)


def _sdxl_size(name: str) -> Field:
    return Field(name, checks.integer(), 0 if name.startswith("crop") else 1024)


_OTHER_METADATA = (
    "qwen3_encoder mistral_encoder ideogram4_caption hrf_enabled hrf_method hrf_strength positive_style_prompt "
    "negative_style_prompt refiner_model refiner_cfg_scale refiner_steps refiner_scheduler "
    "refiner_positive_aesthetic_score refiner_negative_aesthetic_score refiner_start"
)

_METADATA_FIELDS = (
    Field("generation_mode", checks.choice(*GENERATION_MODES)),
    Field("positive_prompt", checks.string),
    Field("negative_prompt", checks.string),
    Field("width", checks.integer()),
    Field("height", checks.integer()),
    Field("seed", checks.integer()),
    Field("rand_device", checks.string),
    Field("cfg_scale", checks.number()),
    Field("cfg_rescale_multiplier", checks.number()),
    Field("steps", checks.integer()),
    Field("scheduler", checks.string),
    Field("seamless_x", checks.boolean),
    Field("seamless_y", checks.boolean),
    Field("clip_skip", checks.integer()),
    Field("model", checks.model),
    *(Field(name, checks.collection) for name in ("controlnets", "ipAdapters", "t2iAdapters", "loras")),
    Field("strength", checks.number()),
    Field("init_image", checks.string),
    Field("vae", checks.model),
    *(Field(name, checks.anything) for name in _OTHER_METADATA.split()),
)

_DENOISE_FIELDS = (
    _wire("positive_conditioning"),
    _wire("negative_conditioning"),
    _wire("noise", required=False),
    Field("steps", checks.integer(gt=0), 10),
    Field("cfg_scale", checks.numbers, 7.5),
    Field("denoising_start", checks.unit, 0.0),
    Field("denoising_end", checks.unit, 1.0),
    Field("scheduler", checks.choice(*SCHEDULERS), "euler"),
    _wire("unet"),
    _wire("control", required=False),
    _wire("ip_adapter", required=False),
    _wire("t2i_adapter", required=False),
    Field("cfg_rescale_multiplier", checks.number(ge=0), 0.0),
    Field("hidiffusion", checks.boolean, False),
    Field("hidiffusion_raunet", checks.boolean, True),
    Field("hidiffusion_window_attn", checks.boolean, True),
    Field("hidiffusion_t1_ratio", checks.unit, 0.4),
    Field("hidiffusion_t2_ratio", checks.unit, 0.0),
    _wire("latents", required=False),
    _wire("denoise_mask", required=False),
)

_SDXL_PROMPT_FIELDS = (
    Field("prompt", checks.string, ""),
    Field("style", checks.string, ""),
    *map(_sdxl_size, ("original_width", "original_height", "crop_top", "crop_left", "target_width", "target_height")),
    _wire("clip"),
    _wire("clip2"),
    Field("mask", checks.anything),
)

_NOISE_FIELDS = (
    Field("noise_type", checks.choice("SD", "FLUX", "SD3"), "SD"),
    Field("seed", checks.seed, 0),
    Field("width", checks.size, 512),
    Field("height", checks.size, 512),
    Field("use_cpu", checks.boolean, True),
)

_TILING = (Field("tiled", checks.boolean, False), Field("tile_size", checks.integer(ge=0, multiple_of=8), 0))
_FP32 = Field("fp32", checks.boolean, False)
_IMAGE = Field("image", checks.image, required=True)
_IMAGE_OUT = ("image_output", ("image", "width", "height"))
_LATENTS_OUT = ("latents_output", ("latents", "width", "height"))
_CONDITIONING_OUT = ("conditioning_output", ("conditioning",))
_INTEGERS_OUT = ("integer_collection_output", ("collection",))
_RESAMPLE = checks.choice("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")
MAPS = ("normal_map", "roughness_map", "displacement_map")
_WEIGHT = Field("weight", checks.number(), 0.75)
_LORAS = Field("loras", checks.anything)
_LORA = Field("lora", checks.model, required=True)


def _models_in(*names: str) -> tuple[Field, ...]:
    return tuple(_wire(name, required=False) for name in names)


NODE_TYPES: dict[str, NodeType] = {
    node.name: node
    for node in (
        NodeType("integer", "integer_output", ("value",), (Field("value", checks.integer(), 0),)),
        NodeType("float", "float_output", ("value",), (Field("value", checks.number(), 0.0),)),
        NodeType("boolean", "boolean_output", ("value",), (Field("value", checks.boolean, False),)),
        NodeType("string", "string_output", ("value",), (Field("value", checks.string, ""),)),
        NodeType(
            "main_model_loader",
            "model_loader_output",
            ("vae", "clip", "unet"),
            (Field("model", checks.model, required=True),),
        ),
        NodeType(
            "sdxl_model_loader",
            "sdxl_model_loader_output",
            ("unet", "clip", "clip2", "vae"),
            (Field("model", checks.model, required=True),),
        ),
        NodeType("vae_loader", "vae_output", ("vae",), (Field("vae_model", checks.model, required=True),)),
        NodeType(
            "clip_skip",
            "clip_skip_output",
            ("clip",),
            (_wire("clip"), Field("skipped_layers", checks.integer(ge=0), 0)),
        ),
        NodeType(
            "compel",
            *_CONDITIONING_OUT,
            (
                Field("prompt", checks.string, ""),
                Field("clip", checks.anything, required=True),
                Field("mask", checks.anything),
            ),
        ),
        NodeType("sdxl_compel_prompt", *_CONDITIONING_OUT, _SDXL_PROMPT_FIELDS),
        NodeType("noise", "noise_output", ("noise", "width", "height"), _NOISE_FIELDS),
        NodeType("denoise_latents", *_LATENTS_OUT, _DENOISE_FIELDS),
        NodeType("l2i", *_IMAGE_OUT, (_wire("latents"), _wire("vae"), *_TILING, _FP32), saves=True),
        NodeType(
            "i2l",
            *_LATENTS_OUT,
            (_IMAGE, _wire("vae"), *_TILING, _FP32, Field("color_compensation", checks.choice("None", "SDXL"), "None")),
        ),
        NodeType("core_metadata", "metadata_output", ("metadata",), _METADATA_FIELDS, open=True),
        NodeType(
            "img_crop",
            *_IMAGE_OUT,
            (
                _IMAGE,
                Field("x", checks.integer(), 0),
                Field("y", checks.integer(), 0),
                Field("width", checks.integer(gt=0), 512),
                Field("height", checks.integer(gt=0), 512),
            ),
            saves=True,
        ),
        NodeType(
            "img_resize",
            *_IMAGE_OUT,
            (
                _IMAGE,
                Field("width", checks.integer(gt=0), 512),
                Field("height", checks.integer(gt=0), 512),
                Field("resample_mode", _RESAMPLE, "bicubic"),
            ),
            saves=True,
        ),
        NodeType(
            "img_blur",
            *_IMAGE_OUT,
            (
                _IMAGE,
                Field("radius", checks.number(ge=0), 8.0),
                Field("blur_type", checks.choice("gaussian", "box"), "gaussian"),
            ),
            saves=True,
        ),
        NodeType(
            "blank_image",
            *_IMAGE_OUT,
            (
                Field("width", checks.integer(), 512),
                Field("height", checks.integer(), 512),
                Field("mode", checks.choice("RGB", "RGBA"), "RGB"),
                Field("color", checks.color, {"r": 0, "g": 0, "b": 0, "a": 255}),
            ),
            saves=True,
        ),
        NodeType("image", *_IMAGE_OUT, (_IMAGE,)),
        NodeType(
            "collect",
            "collect_output",
            ("collection",),
            (_wire("item", required=False), Field("collection", checks.collection, (), wired=True)),
            use_cache=False,
        ),
        NodeType(
            "iterate",
            "iterate_output",
            ("item", "index", "total"),
            (Field("collection", checks.collection, ()), Field("index", checks.integer(), 0)),
            use_cache=False,
        ),
        NodeType(
            "range",
            *_INTEGERS_OUT,
            (
                Field("start", checks.integer(), 0),
                Field("stop", checks.integer(), 10),
                Field("step", checks.integer(), 1),
            ),
        ),
        NodeType("pbr_maps", "pbr_maps-output", MAPS, (_IMAGE,), saves=True),
        NodeType("lora_selector", "lora_selector_output", ("lora",), (_LORA, _WEIGHT)),
        NodeType(
            "lora_collection_loader",
            "lora_loader_output",
            ("unet", "clip"),
            (_LORAS, *_models_in("unet", "clip")),
        ),
        NodeType(
            "sdxl_lora_collection_loader",
            "sdxl_lora_loader_output",
            ("unet", "clip", "clip2"),
            (_LORAS, *_models_in("unet", "clip", "clip2")),
        ),
    )
}
