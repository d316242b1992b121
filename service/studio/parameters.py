"""A step's `parameters`: checked, completed with defaults, expanded into seeds. Types are ours to check: a wrong one in
a batch's data stops InvokeAI's whole queue (FACTS §7)."""

from __future__ import annotations

import secrets
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from service.errors import ValidationError
from service.invokeai import graphs
from service.json_schema import ABOVE_ZERO, FROM_ZERO

SEEDS = 2**32
SIZE_STEP = 8

Size = Annotated[int, Meta(ge=64, le=4096, multiple_of=SIZE_STEP, description="Pixels, a multiple of 8.")]
Steps = Annotated[int, Meta(ge=1, le=1000)]
CfgScale = Annotated[float, Meta(ge=1, le=200)]
Seed = Annotated[int, FROM_ZERO, Meta(lt=SEEDS)]
NO_NUL = r"^[^\x00]*$"
"""PostgreSQL keeps no NUL in text."""
Key = Annotated[str, Meta(min_length=1, max_length=200, pattern=NO_NUL)]

T = TypeVar("T")


class Lora(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A LoRA by its key in InvokeAI."""

    key: Key
    weight: Annotated[float, Meta(ge=-10, le=10)] = 0.75


class Parameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """As a client gives them, and as a step keeps them: what is absent is a default not yet known."""

    width: Size | UnsetType = UNSET
    height: Size | UnsetType = UNSET
    steps: Steps | UnsetType = UNSET
    cfg_scale: CfgScale | UnsetType = UNSET
    scheduler: str | UnsetType = UNSET
    seed: Seed | UnsetType = UNSET
    strength: Annotated[float, ABOVE_ZERO, Meta(le=1)] | UnsetType = UNSET
    loras: Annotated[list[Lora], Meta(max_length=20)] | UnsetType = UNSET

    def seeds(self, count: int) -> list[int]:
        """Seed s gives s, s+1, … modulo 2^32."""
        if self.seed is UNSET:
            raise ValueError("these parameters have no seed yet")
        return [(self.seed + k) % SEEDS for k in range(count)]


class ModelSettings(msgspec.Struct, frozen=True):
    """The usable ones of a model's own `default_settings`; a value we would not accept from a client is not used."""

    width: Size | None = None
    height: Size | None = None
    steps: Steps | None = None
    cfg_scale: CfgScale | None = None
    scheduler: str | None = None
    vae: Key | None = None
    """The key of a VAE model; null or `default` for the model's own."""


class Complete(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a graph needs."""

    width: int
    height: int
    steps: int
    cfg_scale: float
    scheduler: str
    loras: list[Lora]


def checked(parameters: Parameters) -> Parameters:
    """Raises `ValidationError` for what the types alone do not tell; fixes a seed where none is given."""
    if parameters.scheduler is not UNSET and parameters.scheduler not in graphs.SCHEDULERS:
        complaint = f"parameters.scheduler: InvokeAI has no {parameters.scheduler[:100]!r}"
        raise ValidationError(complaint, {"allowed": sorted(graphs.SCHEDULERS)})
    if parameters.loras is not UNSET:
        keys = [lora.key for lora in parameters.loras]
        if len(set(keys)) < len(keys):
            raise ValidationError("parameters.loras: the same LoRA twice")
    if parameters.seed is UNSET:
        return msgspec.structs.replace(parameters, seed=secrets.randbelow(SEEDS))
    return parameters


def model_settings(default_settings: dict[str, Any] | None) -> ModelSettings:
    """Value by value, so that one InvokeAI has and we do not know costs only itself."""
    usable: dict[str, Any] = {}
    for field in msgspec.structs.fields(ModelSettings):
        try:
            usable[field.name] = msgspec.convert((default_settings or {}).get(field.name), field.type)
        except msgspec.ValidationError:
            continue
    if usable.get("scheduler") not in graphs.SCHEDULERS:
        usable["scheduler"] = None
    if usable.get("vae") == "default":
        usable["vae"] = None
    return ModelSettings(**usable)


def with_defaults(parameters: Parameters, settings: ModelSettings, base: str) -> Parameters:
    """What the client left open: the model's own, else the base's."""
    default = graphs.defaults(base)
    return msgspec.structs.replace(
        parameters,
        width=_first(parameters.width, settings.width, default.width),
        height=_first(parameters.height, settings.height, default.height),
        steps=_first(parameters.steps, settings.steps, default.steps),
        cfg_scale=_first(parameters.cfg_scale, settings.cfg_scale, default.cfg_scale),
        scheduler=_first(parameters.scheduler, settings.scheduler, default.scheduler),
    )


def complete(parameters: Parameters) -> Complete:
    """Of parameters that went through `with_defaults`."""
    values = msgspec.structs.asdict(parameters)
    return msgspec.convert(
        {name: values[name] for name in Complete.__struct_fields__ if values[name] is not UNSET}
        | {"loras": [] if parameters.loras is UNSET else parameters.loras},
        Complete,
    )


def _first(given: T | UnsetType, own: T | None, default: T) -> T:
    if given is not UNSET:
        return given
    return default if own is None else own
