"""A step's `parameters`: checked, completed with defaults, expanded into seeds.
We must check their types: a wrong one in a batch's data stops InvokeAI's whole queue (FACTS §7)."""

from __future__ import annotations

import secrets
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from service.errors import ValidationError
from service.invokeai import graphs
from service.runtime.json_schema import FROM_ZERO

SEEDS = 2**32
SIZE_STEP = 8
STRENGTH = 0.75
"""The strength of a step with a source, if the client gives none."""

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
    """Parameters as a client gives them and a step stores them: a missing one is a default that is not known yet."""

    width: Size | UnsetType = UNSET
    height: Size | UnsetType = UNSET
    steps: Steps | UnsetType = UNSET
    cfg_scale: CfgScale | UnsetType = UNSET
    scheduler: str | UnsetType = UNSET
    seed: Seed | UnsetType = UNSET
    strength: Annotated[float, FROM_ZERO, Meta(le=1)] | UnsetType = UNSET
    """Denoising strength: 0 keeps the source photo, 1 ignores it. Only with `source_photo_id`."""
    loras: Annotated[list[Lora], Meta(max_length=20)] | UnsetType = UNSET

    @property
    def chosen_loras(self) -> list[Lora]:
        return [] if self.loras is UNSET else self.loras

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
    """The numbers that a graph needs."""

    width: int
    height: int
    steps: int
    cfg_scale: float
    scheduler: str
    strength: float = STRENGTH
    """Used if there is a source."""


def checked(parameters: Parameters, *, has_source: bool = False) -> Parameters:
    """Raises `ValidationError` for what the types alone do not tell; fixes a seed, and with a source a strength, where
    none is given."""
    if has_source and parameters.strength is UNSET:
        parameters = msgspec.structs.replace(parameters, strength=STRENGTH)
    if parameters.strength is not UNSET and not has_source:
        raise ValidationError("parameters.strength: only with a source_photo_id")
    if parameters.scheduler is not UNSET and parameters.scheduler not in graphs.SCHEDULERS:
        complaint = f"parameters.scheduler: InvokeAI has no {parameters.scheduler[:100]!r}"
        raise ValidationError(complaint, {"allowed": sorted(graphs.SCHEDULERS)})
    keys = [lora.key for lora in parameters.chosen_loras]
    if len(set(keys)) < len(keys):
        raise ValidationError("parameters.loras: the same LoRA twice")
    if parameters.seed is UNSET:
        return msgspec.structs.replace(parameters, seed=secrets.randbelow(SEEDS))
    return parameters


def model_settings(default_settings: dict[str, Any] | None) -> ModelSettings:
    """Reads the model's defaults value by value, so that one that we do not know costs only itself."""
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
    """Fills missing parameters with the model's defaults, else the base's."""
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
    """All parameters, after `with_defaults`."""
    values = msgspec.structs.asdict(parameters)
    given = {name: values[name] for name in Complete.__struct_fields__ if values[name] is not UNSET}
    return msgspec.convert(given, Complete)


def _first(given: T | UnsetType, own: T | None, default: T) -> T:
    if given is not UNSET:
        return given
    return default if own is None else own
