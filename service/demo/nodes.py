"""The node types the demo knows: their fields in InvokeAI's order, defaults and checks (graphs.md, openapi.json)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

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
MODEL_PARTS = ("key", "hash", "name", "base", "type")


class InvalidFieldError(Exception):
    """A value a field does not take; carries the body of a 422 `detail` entry without `loc`."""

    def __init__(self, kind: str, message: str, value: Any, ctx: Json | None = None, at: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.detail: Json = {"type": kind, "msg": message, "input": value} | ({"ctx": ctx} if ctx else {})
        self.at = at


Check = Callable[[Any], Any]


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
            "is_intermediate": boolean(given.get("is_intermediate", False)),
            "use_cache": boolean(given.get("use_cache", self.use_cache)),
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


def seed(value: Any) -> int:
    """Any integer, modulo 2^32 (graphs.md, Traps)."""
    return int(integer()(value)) % 2**32


def anything(value: Any) -> Any:
    return value


def string(value: Any) -> str:
    if not isinstance(value, str):
        raise InvalidFieldError("string_type", "Input should be a valid string", value)
    return value


def boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise InvalidFieldError("bool_type", "Input should be a valid boolean", value)
    return value


def integer(*, ge: int | None = None, gt: int | None = None, multiple_of: int | None = None) -> Check:
    def check(value: Any) -> int:
        whole = _integer(value)
        _bounds(whole, ge, gt)
        if multiple_of and whole % multiple_of:
            message = f"Input should be a multiple of {multiple_of}"
            raise InvalidFieldError("multiple_of", message, value, {"multiple_of": multiple_of})
        return whole

    return check


def number(*, ge: float | None = None, gt: float | None = None, le: float | None = None) -> Check:
    def check(value: Any) -> float:
        parsed = _number(value)
        _bounds(parsed, ge, gt, le)
        return parsed

    return check


def _integer(value: Any) -> int:
    """Takes what pydantic takes: also a whole float, and a text of digits."""
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            message = "Input should be a valid integer, unable to parse string as an integer"
            raise InvalidFieldError("int_parsing", message, value) from None
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidFieldError("int_type", "Input should be a valid integer", value)
    return value


def _number(value: Any) -> float:
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            message = "Input should be a valid number, unable to parse string as a number"
            raise InvalidFieldError("float_parsing", message, value) from None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidFieldError("float_type", "Input should be a valid number", value)
    return float(value)


def _bounds(value: float, ge: float | None, gt: float | None, le: float | None = None) -> None:
    if ge is not None and value < ge:
        raise InvalidFieldError(
            "greater_than_equal", f"Input should be greater than or equal to {ge}", value, {"ge": ge}
        )
    if gt is not None and value <= gt:
        raise InvalidFieldError("greater_than", f"Input should be greater than {gt}", value, {"gt": gt})
    if le is not None and value > le:
        raise InvalidFieldError("less_than_equal", f"Input should be less than or equal to {le}", value, {"le": le})


def choice(*words: str) -> Check:
    expected = ", ".join(f"'{word}'" for word in words[:-1]) + f" or '{words[-1]}'"

    def check(value: Any) -> str:
        if value not in words:
            raise InvalidFieldError("literal_error", f"Input should be {expected}", value, {"expected": expected})
        return str(value)

    return check


def record(*names: str, optional: Json | None = None) -> Check:
    """An object with the given keys, all required, and the optional ones with their defaults."""

    def check(value: Any) -> Json:
        if not isinstance(value, dict):
            raise InvalidFieldError("model_type", "Input should be a valid dictionary or object", value)
        for name in names:
            if name not in value:
                raise InvalidFieldError("missing", "Field required", value, at=(name,))
        return {name: value[name] for name in names} | {k: value.get(k, d) for k, d in (optional or {}).items()}

    return check


def collection(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise InvalidFieldError("list_type", "Input should be a valid list", value)
    return value


def numbers(value: Any) -> Any:
    check = number()
    return [check(item) for item in value] if isinstance(value, list) else check(value)


model = record(*MODEL_PARTS, optional={"submodel_type": None})
image = record("image_name")
_color = record("r", "g", "b", "a")
_size = integer(gt=0, multiple_of=8)
_unit = number(ge=0, le=1)

_SAVING = (Field("board", record("board_id")), Field("metadata", anything, wired=True))


def _wire(name: str, *, required: bool = True) -> Field:
    return Field(name, anything, required=required, wired=True)


def _sdxl_size(name: str) -> Field:
    return Field(name, integer(), 0 if name.startswith("crop") else 1024)


_OTHER_METADATA = (
    "qwen3_encoder mistral_encoder ideogram4_caption hrf_enabled hrf_method hrf_strength positive_style_prompt "
    "negative_style_prompt refiner_model refiner_cfg_scale refiner_steps refiner_scheduler "
    "refiner_positive_aesthetic_score refiner_negative_aesthetic_score refiner_start"
)

_METADATA_FIELDS = (
    Field("generation_mode", choice(*GENERATION_MODES)),
    Field("positive_prompt", string),
    Field("negative_prompt", string),
    Field("width", integer()),
    Field("height", integer()),
    Field("seed", integer()),
    Field("rand_device", string),
    Field("cfg_scale", number()),
    Field("cfg_rescale_multiplier", number()),
    Field("steps", integer()),
    Field("scheduler", string),
    Field("seamless_x", boolean),
    Field("seamless_y", boolean),
    Field("clip_skip", integer()),
    Field("model", model),
    *(Field(name, collection) for name in ("controlnets", "ipAdapters", "t2iAdapters", "loras")),
    Field("strength", number()),
    Field("init_image", string),
    Field("vae", model),
    *(Field(name, anything) for name in _OTHER_METADATA.split()),
)

_DENOISE_FIELDS = (
    _wire("positive_conditioning"),
    _wire("negative_conditioning"),
    _wire("noise", required=False),
    Field("steps", integer(gt=0), 10),
    Field("cfg_scale", numbers, 7.5),
    Field("denoising_start", _unit, 0.0),
    Field("denoising_end", _unit, 1.0),
    Field("scheduler", choice(*SCHEDULERS), "euler"),
    _wire("unet"),
    _wire("control", required=False),
    _wire("ip_adapter", required=False),
    _wire("t2i_adapter", required=False),
    Field("cfg_rescale_multiplier", number(ge=0), 0.0),
    Field("hidiffusion", boolean, False),
    Field("hidiffusion_raunet", boolean, True),
    Field("hidiffusion_window_attn", boolean, True),
    Field("hidiffusion_t1_ratio", _unit, 0.4),
    Field("hidiffusion_t2_ratio", _unit, 0.0),
    _wire("latents", required=False),
    _wire("denoise_mask", required=False),
)

_SDXL_PROMPT_FIELDS = (
    Field("prompt", string, ""),
    Field("style", string, ""),
    *map(_sdxl_size, ("original_width", "original_height", "crop_top", "crop_left", "target_width", "target_height")),
    _wire("clip"),
    _wire("clip2"),
    Field("mask", anything),
)

_NOISE_FIELDS = (
    Field("noise_type", choice("SD", "FLUX", "SD3"), "SD"),
    Field("seed", seed, 0),
    Field("width", _size, 512),
    Field("height", _size, 512),
    Field("use_cpu", boolean, True),
)

_TILING = (Field("tiled", boolean, False), Field("tile_size", integer(ge=0, multiple_of=8), 0))
_FP32 = Field("fp32", boolean, False)
_IMAGE = Field("image", image, required=True)
_IMAGE_OUT = ("image_output", ("image", "width", "height"))
_LATENTS_OUT = ("latents_output", ("latents", "width", "height"))
_CONDITIONING_OUT = ("conditioning_output", ("conditioning",))
_INTEGERS_OUT = ("integer_collection_output", ("collection",))
_RESAMPLE = choice("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")
_WEIGHT = Field("weight", number(), 0.75)
_LORAS = Field("loras", anything)
_LORA = Field("lora", model, required=True)


def _models_in(*names: str) -> tuple[Field, ...]:
    return tuple(_wire(name, required=False) for name in names)


NODE_TYPES: dict[str, NodeType] = {
    node.name: node
    for node in (
        NodeType("integer", "integer_output", ("value",), (Field("value", integer(), 0),)),
        NodeType("float", "float_output", ("value",), (Field("value", number(), 0.0),)),
        NodeType("boolean", "boolean_output", ("value",), (Field("value", boolean, False),)),
        NodeType("string", "string_output", ("value",), (Field("value", string, ""),)),
        NodeType(
            "main_model_loader",
            "model_loader_output",
            ("vae", "clip", "unet"),
            (Field("model", model, required=True),),
        ),
        NodeType(
            "sdxl_model_loader",
            "sdxl_model_loader_output",
            ("unet", "clip", "clip2", "vae"),
            (Field("model", model, required=True),),
        ),
        NodeType("vae_loader", "vae_output", ("vae",), (Field("vae_model", model, required=True),)),
        NodeType(
            "clip_skip", "clip_skip_output", ("clip",), (_wire("clip"), Field("skipped_layers", integer(ge=0), 0))
        ),
        NodeType(
            "compel",
            *_CONDITIONING_OUT,
            (Field("prompt", string, ""), Field("clip", anything, required=True), Field("mask", anything)),
        ),
        NodeType("sdxl_compel_prompt", *_CONDITIONING_OUT, _SDXL_PROMPT_FIELDS),
        NodeType("noise", "noise_output", ("noise", "width", "height"), _NOISE_FIELDS),
        NodeType("denoise_latents", *_LATENTS_OUT, _DENOISE_FIELDS),
        NodeType("l2i", *_IMAGE_OUT, (_wire("latents"), _wire("vae"), *_TILING, _FP32), saves=True),
        NodeType(
            "i2l",
            *_LATENTS_OUT,
            (_IMAGE, _wire("vae"), *_TILING, _FP32, Field("color_compensation", choice("None", "SDXL"), "None")),
        ),
        NodeType("core_metadata", "metadata_output", ("metadata",), _METADATA_FIELDS, open=True),
        NodeType(
            "img_resize",
            *_IMAGE_OUT,
            (
                _IMAGE,
                Field("width", integer(gt=0), 512),
                Field("height", integer(gt=0), 512),
                Field("resample_mode", _RESAMPLE, "bicubic"),
            ),
            saves=True,
        ),
        NodeType(
            "img_blur",
            *_IMAGE_OUT,
            (_IMAGE, Field("radius", number(ge=0), 8.0), Field("blur_type", choice("gaussian", "box"), "gaussian")),
            saves=True,
        ),
        NodeType(
            "blank_image",
            *_IMAGE_OUT,
            (
                Field("width", integer(), 512),
                Field("height", integer(), 512),
                Field("mode", choice("RGB", "RGBA"), "RGB"),
                Field("color", _color, {"r": 0, "g": 0, "b": 0, "a": 255}),
            ),
            saves=True,
        ),
        NodeType("image", *_IMAGE_OUT, (_IMAGE,)),
        NodeType(
            "collect",
            "collect_output",
            ("collection",),
            (_wire("item", required=False), Field("collection", collection, (), wired=True)),
            use_cache=False,
        ),
        NodeType(
            "iterate",
            "iterate_output",
            ("item", "index", "total"),
            (Field("collection", collection, ()), Field("index", integer(), 0)),
            use_cache=False,
        ),
        NodeType(
            "range",
            *_INTEGERS_OUT,
            (Field("start", integer(), 0), Field("stop", integer(), 10), Field("step", integer(), 1)),
        ),
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
