"""The answers of the models' routes (api.md)."""

from __future__ import annotations

from uuid import UUID

from service.api.resources import Model, Photo
from service.bus.live_state import Resource
from service.runtime.json_schema import NullableObject


class MissingModel(Resource, frozen=True):
    """A model that photos or steps name and no server has."""

    key: str
    """Its key; its name if photos do not have the key."""
    hash: str
    """Empty where it is not known."""
    name: str
    base: str | None
    type: str


class ModelList(Resource, frozen=True):
    """Always whole."""

    items: list[Model]
    total: int
    limit: int
    offset: int
    next_cursor: str | None
    missing: list[MissingModel] | None = None
    """Null unless asked for."""


class PhotosOfModel(Resource, frozen=True):
    """The values of `model` or `lora` by which `GET /photos` finds photos made with it; both null for a type that
    photos do not name."""

    model: list[str] | None
    lora: list[str] | None


class ModelDetail(Resource, frozen=True):
    """A model, where it is, and what was made with it."""

    key: str
    """The key in the request."""
    hash: str
    name: str
    base: str | None
    type: str
    format: str | None
    variant: str | None
    submodels: NullableObject
    expert: str | None
    latent_channels: int | None
    provider_id: str | None
    capabilities: NullableObject
    description: str | None
    default_settings: NullableObject
    trigger_phrases: list[str] | None
    missing: bool
    """No server has it any more."""
    servers: list[Model]
    """The same model as each server has it, by its key or its hash, the oldest server first."""
    photo_filter: PhotosOfModel
    photo_count: int | None
    """At most 10,000; null for a type that photos do not name."""
    more_photos: bool
    """There are more than are counted."""
    newest_photos: list[Photo]


class ModelsRefreshed(Resource, frozen=True):
    """For each backend asked: null, or why its models could not be read."""

    backends: dict[UUID, str | None]
