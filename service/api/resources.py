"""The structs of REST and the feed: one for each resource, and one tagged union of feed messages (api.md)."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from service.bus.live_state import (
    BackendLedger,
    BackendState,
    BulkProgress,
    Item,
    ItemProgress,
    Ledger,
    PodState,
    QueueCounts,
    QueueStatus,
    Resource,
    Trouble,
)
from service.runtime.json_schema import NullableObject

RetrievalStatus = Literal["pending", "retrieving", "completed", "failed", "gone"]
StepStatus = Literal["pending", "processing", "completed", "failed", "canceled"]
WaitingFor = Literal["source_file", "source_upload"]


class AlbumRef(Resource, frozen=True, kw_only=True):
    id: UUID
    name: str


class ImageSource(Resource, frozen=True, kw_only=True):
    """One size of a photo. Its sides have another proportion than the photo's if it was cropped."""

    url: str
    width: int
    height: int


class ParamsSummary(Resource, frozen=True, kw_only=True):
    """The part of `generation_params` that lists and the feed have too; null for unknown values."""

    steps: float | None
    cfg_scale: float | None
    scheduler: str | None
    strength: float | None


class Photo(Resource, frozen=True, kw_only=True):
    id: UUID
    filename: str
    width: int
    height: int
    file_size: int | None
    mime_type: str
    created_at: datetime
    is_generated: bool
    generation_prompt: str | None
    generation_negative_prompt: str | None
    params_summary: ParamsSummary | None
    """Null if none of it is known."""
    generation_params: NullableObject
    """All of its metadata, if the photo is asked for by its id; null in lists and in the feed."""
    source_image_id: UUID | None
    source: Literal["uploaded", "generated", "mirrored", "imported"]
    invoke_id: str | None
    backend_id: UUID | None
    invoke_session_id: str | None
    model_key: str | None
    model_hash: str | None
    model_name: str | None
    model_base: str | None
    loras: list[str] | None
    seed: int | str | None
    """A string beyond 2^53."""
    retrieval_status: RetrievalStatus
    retrieval_attempts: int
    last_retrieval_attempt: datetime | None
    next_retrieval_attempt: datetime | None
    retrieval_error: str | None
    sha256: str | None
    thumbhash: str | None
    damaged: bool
    """A JPEG that lacks only its end marker. It is shown whole."""
    favorite: bool
    rating: int
    pick: Literal["pick", "reject"] | None
    caption: str | None
    tags: list[str]
    deleted_at: datetime | None
    url: str
    thumbnail_url: str
    """The small rendition, about 360 px at its long side."""
    image_set: list[ImageSource]
    """For `srcset`: the small rendition, and the large one (about 1080 px) if it is larger. Empty until the photo is
    home, and for one that cannot be shown."""
    albums: list[AlbumRef]
    step_id: UUID | None
    session_id: UUID | None
    selected: bool


class UploadedPhoto(Photo, frozen=True, kw_only=True):
    duplicate: bool
    """True: this photo with the same bytes was here already."""


class Album(Resource, frozen=True, kw_only=True):
    id: UUID
    name: str
    description: str | None
    cover_photo_id: UUID | None
    """The chosen cover. If none is chosen, or it is in the trash or not in the album: the first photo."""
    photo_count: int
    created_at: datetime
    updated_at: datetime


class Step(Resource, frozen=True, kw_only=True):
    id: UUID
    session_id: UUID
    parent_id: UUID | None
    source_photo_id: UUID | None
    """The source photo, if any."""
    waiting_for: WaitingFor | None
    """Why a batch is not sent yet: the source is not here (`source_file`), or not at the step's server
    (`source_upload`)."""
    prompt: str
    negative_prompt: str
    parameters: msgspec.Raw
    model_key: str
    model_hash: str
    model_name: str | None
    backend_id: UUID | None
    batch_id: str | None
    correlation_id: str | None
    position: int
    batch_size: int
    status: StepStatus
    error_message: str | None
    selected_image_id: UUID | None
    selected_at: datetime | None
    cancel_requested_at: datetime | None
    created_at: datetime
    submitted_at: datetime | None
    started_at: datetime | None
    completed_at: datetime | None
    deleted_at: datetime | None
    alternatives: list[Photo]
    items: list[Item]


class Session(Resource, frozen=True, kw_only=True):
    id: UUID
    name: str
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None
    step_count: int
    cover_photo_id: UUID | None
    """The latest selection, else the latest alternative that is home."""


class SessionDetail(Session, frozen=True, kw_only=True):
    steps: list[Step]


class RunpodProvider(Resource, frozen=True, kw_only=True, tag_field="kind", tag="runpod"):
    """A RunPod pod's id and address. The API key is not shown."""

    pod_id: str
    port: int
    """The port in the pod that InvokeAI listens on."""
    api_url: str


class CommandProvider(Resource, frozen=True, kw_only=True, tag_field="kind", tag="command"):
    """Programs that start a machine, stop it and tell its state, each with its arguments."""

    start: list[str]
    stop: list[str]
    status: list[str]
    cost_per_hour: float | None


class Pod(Resource, frozen=True, kw_only=True):
    """The rented machine that a server runs on. Money is in the provider's currency: dollars at RunPod."""

    state: PodState
    """The provider's last reading. A pod that is to run and cannot be started yet is `starting`."""
    since: datetime | None
    words: str | None
    """The reason, in one sentence."""
    wanted: Literal["running", "stopped"] | None
    """The state that was ordered and is not reached yet; null if none."""
    cost_per_hour: float | None
    """The price of this run, or of the last one. Null until a price is known."""
    cost_run: float | None
    """The cost of this run so far, or of the last one, without storage."""
    saved: float
    """Money not spent because Darkroom stopped the pod: the hours since then, at the price per hour."""
    stop_refused: str | None
    """Why an idle pod was not stopped."""
    alarm: str | None
    """An alarm for the owner: the pod costs money, and Darkroom cannot stop it or did not start it."""
    autostart: bool
    """Whether work for a stopped pod starts it."""
    idle_minutes: float
    """Minutes without work after which it is stopped."""
    idle_since: datetime | None
    next_try_at: datetime | None
    """When an order that was refused or had no effect is repeated."""
    give_up_at: datetime | None
    """When repeating a start that was refused for want of a GPU ends."""
    asks_root: bool
    """True: the owner has to say whether InvokeAI's root folder survives a stop (`PATCH {root_confirmed}`), because the
    provider cannot tell. Until then nothing is stopped."""
    stopped_costs: str | None
    """What is billed while it is stopped."""
    provider: RunpodProvider | CommandProvider


class Backend(Resource, frozen=True, kw_only=True):
    id: UUID
    name: str
    kind: Literal["server", "demo", "runpod", "command"]
    url: str
    queue_id: str
    has_gateway: bool
    """Whether a login or headers for a gateway are stored for its address. They are never shown."""
    enabled: bool
    mirror: Literal["all", "own"]
    state: BackendState
    version: str | None
    device: str | None
    queue: QueueCounts
    ledger: BackendLedger
    created_at: datetime
    last_seen_at: datetime | None
    last_event_at: datetime | None
    next_attempt_at: datetime | None
    """When an unreachable server is tried again; null while it is tried, and when it is connected."""
    videos: int
    """Videos on the server. This release does not retrieve them."""
    older_images: int
    """Images on the server from before it was added. They stay there; Import brings them."""
    error: str | None
    troubles: list[Trouble]
    """Oldest first; empty if there are none."""
    pod: Pod | None
    """Null for a server that is no rented machine."""


class Model(Resource, frozen=True, kw_only=True):
    backend_id: UUID
    key: str
    hash: str
    name: str
    base: str
    type: str
    format: str | None
    variant: str | None
    submodels: NullableObject
    expert: str | None
    latent_channels: int | None
    provider_id: str | None
    capabilities: NullableObject
    """Capabilities of an API provider's model."""
    description: str | None
    default_settings: NullableObject
    trigger_phrases: list[str] | None
    """Words that trigger it in a prompt."""
    seen_at: datetime


class Removed(Resource, frozen=True, kw_only=True):
    id: UUID


class ModelsUpdated(Resource, frozen=True, kw_only=True):
    backend_id: UUID


class SettingsUpdated(Resource, frozen=True, kw_only=True):
    """These settings changed: read them again."""

    names: list[str]


class Hello(Resource, frozen=True, kw_only=True):
    """The snapshot that begins every feed. Its `seq` is the position of durable messages."""

    epoch: str
    version: str
    backends: list[Backend]
    steps: list[Step]
    items: list[Item]
    ledger: Ledger


class HelloMessage(Resource, frozen=True, kw_only=True):
    """The feed's first message, answered by REST."""

    type: Literal["hello"]
    seq: int
    data: Hello


DURABLE = frozenset(
    {
        "step.updated",
        "item.updated",
        "photo.added",
        "photo.ready",
        "photo.failed",
        "photo.updated",
        "photo.removed",
        "album.updated",
        "album.removed",
        "session.updated",
        "session.removed",
        "models.updated",
        "settings.updated",
    }
)
"""Each raises `seq` by exactly one; a gap means: refetch by REST."""

PASSING = frozenset({"item.progress", "backend.status", "queue.status", "ledger", "bulk.progress"})
"""Repeat the last `seq`; the last value wins."""

Data = (
    Hello
    | Step
    | Item
    | Photo
    | Album
    | Session
    | Removed
    | ModelsUpdated
    | SettingsUpdated
    | ItemProgress
    | Backend
    | QueueStatus
    | BulkProgress
    | Ledger
)


class Message(msgspec.Struct, frozen=True):
    """One feed message; `type` says what `data` is."""

    type: str
    seq: int
    data: Data
