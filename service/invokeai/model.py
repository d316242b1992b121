"""The struct of one InvokeAI model (FACTS §12). Fields that cannot be stored are left out."""

from __future__ import annotations

from typing import Any

from msgspec.structs import force_setattr

from service.invokeai.bounds import LONGEST_NAME, Name, cut, is_storable
from service.invokeai.events import InvokeStruct

LONGEST_DESCRIPTION = 2000
LONGEST_PART = 20_000
"""Bytes, as JSON, of one field beside the names. InvokeAI's own need a tenth of that."""
MOST_PHRASES = 100

OPTIONAL_FIELDS: dict[str, type] = {
    "format": str,
    "variant": str,
    "submodels": dict,
    "expert": str,
    "latent_channels": int,
    "provider_id": str,
    "capabilities": dict,
    "description": str,
    "default_settings": dict,
    "trigger_phrases": list,
}
"""Fields that only some bases have (FACTS §12), by type. None if InvokeAI does not send one or sends another type."""


class Model(InvokeStruct, frozen=True, kw_only=True):
    key: Name
    hash: Name
    name: Name
    base: Name
    type: Name
    format: Any = None
    variant: Any = None
    submodels: Any = None
    expert: Any = None
    latent_channels: Any = None
    provider_id: Any = None
    capabilities: Any = None
    description: Any = None
    default_settings: Any = None
    trigger_phrases: Any = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("key", "hash", "name", "base", "type"):
            if not is_storable(getattr(self, name), LONGEST_PART):
                raise ValueError(f"{name} has characters that no database can hold")
        if isinstance(self.description, str):
            force_setattr(self, "description", cut(self.description, LONGEST_DESCRIPTION))
        if isinstance(self.trigger_phrases, list):
            force_setattr(self, "trigger_phrases", _phrases(self.trigger_phrases))
        for name, kind in OPTIONAL_FIELDS.items():  # optional fields
            value = getattr(self, name)
            is_name = kind is str and name != "description"
            is_long = is_name and isinstance(value, str) and len(value) > LONGEST_NAME
            fits = isinstance(value, kind) and not isinstance(value, bool) and not is_long
            if not fits or not is_storable(value, LONGEST_PART):
                force_setattr(self, name, None)


def _phrases(told: list[Any]) -> list[str] | None:
    """The trigger phrases that are no longer than a name. None if something else is among them."""
    if not all(isinstance(phrase, str) for phrase in told):
        return None
    return [phrase for phrase in told if len(phrase) <= LONGEST_NAME][:MOST_PHRASES]
