"""What clients send to the studio, and the lists it answers with (api.md)."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from service.json_schema import NullableObject
from service.live.messages import Model, Photo, Resource, Session
from service.request_body import VISIBLE_LINE
from service.studio.parameters import NO_NUL, Key, Parameters

MOST_ALTERNATIVES = 100

Prompt = Annotated[str, Meta(max_length=20_000, pattern=NO_NUL)]
SessionName = Annotated[str, Meta(min_length=1, max_length=200, pattern=VISIBLE_LINE)]


class Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of everything a client sends: unknown keys are errors."""


class SessionUpdate(Body, frozen=True):
    name: SessionName


class StepCreate(Body, frozen=True, kw_only=True):
    prompt: Annotated[Prompt, Meta(min_length=1)]
    negative_prompt: Prompt | None = None
    model_key: Key
    model_hash: Key
    model_name: Key | None = None
    parameters: Parameters = Parameters()
    batch_size: Annotated[int, Meta(ge=1, le=MOST_ALTERNATIVES)] = 1
    parent_id: UUID | None = None
    source_photo_id: UUID | None = None
    backend_id: UUID | None = None
    """Default: the environment's backend, else the oldest enabled one that has the model."""
    correlation_id: Key | None = None
    """The client's own key: the same again gives the existing step."""


class SelectionChange(Body, frozen=True):
    photo_id: UUID | None
    """One of the step's alternatives; null for none."""


class SessionCreate(Body, frozen=True):
    name: SessionName = "Untitled"
    first_step: StepCreate | None = None
    """Created with the session, or neither is."""


class SessionList(Resource, frozen=True):
    items: list[Session]
    total: int | None
    limit: int
    offset: int | None
    next_cursor: str | None


class MissingModel(Resource, frozen=True):
    """A model that photos or steps name and no server has."""

    key: str
    """Its name, where photos do not tell its key."""
    hash: str
    """Empty where it is not told."""
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
    """The values of `model` or `lora` by which `GET /photos` finds what was made with it; both null for a type of which
    photos do not tell."""

    model: list[str] | None
    lora: list[str] | None


class ModelDetail(Resource, frozen=True):
    """A model, where it is, and what was made with it."""

    key: str
    """As it was asked for."""
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
    """At most 10,000; null for a type of which photos do not tell."""
    more_photos: bool
    """There are more than are counted."""
    newest_photos: list[Photo]


class ModelsRefreshed(Resource, frozen=True):
    """For each backend asked: null, or why its models could not be read."""

    backends: dict[UUID, str | None]
