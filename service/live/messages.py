"""What the API and the feed speak of: one struct per resource, one tagged union of feed messages (api.md)."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from service.json_schema import NullableObject

RetrievalStatus = Literal["pending", "retrieving", "completed", "failed", "gone"]
StepStatus = Literal["pending", "processing", "completed", "failed", "canceled"]
ItemStatus = Literal["pending", "in_progress", "waiting", "completed", "failed", "canceled", "gone"]
BackendState = Literal["connected", "connecting", "unreachable", "unauthorized", "unrecognised", "disabled"]

BulkChangeAction = Literal[
    "trash",
    "restore",
    "purge",
    "retry",
    "favorite",
    "unfavorite",
    "rate",
    "pick",
    "tag",
    "untag",
    "add_to_album",
    "remove_from_album",
]
BulkAction = Literal[BulkChangeAction, "undo"]


class Resource(msgspec.Struct, kw_only=True, frozen=True):
    """Base of everything that leaves by REST or feed."""


class AlbumRef(Resource, frozen=True, kw_only=True):
    id: UUID
    name: str


class ImageSource(Resource, frozen=True, kw_only=True):
    """One size of a photo. Its sides have another proportion than the photo's where it was cropped."""

    url: str
    width: int
    height: int


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
    generation_params: NullableObject
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
    """A JPEG that lacks only its end marker: it is shown whole."""
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
    """For `srcset`: the small rendition, and the large one where it is larger (about 1080 px). Empty until the photo is
    home, and for one that cannot be shown."""
    albums: list[AlbumRef]
    step_id: UUID | None
    session_id: UUID | None
    selected: bool


class UploadedPhoto(Photo, frozen=True, kw_only=True):
    duplicate: bool
    """A photo with the same bytes was here already: this one."""


class Album(Resource, frozen=True, kw_only=True):
    id: UUID
    name: str
    description: str | None
    cover_photo_id: UUID | None
    """As it was chosen; else, or while that one is in the trash or not in the album, its first photo."""
    photo_count: int
    created_at: datetime
    updated_at: datetime


class Progress(Resource, frozen=True, kw_only=True):
    """Where a running item stands; `percentage` 0–1, or null while InvokeAI does not say."""

    percentage: float | None
    message: str
    device: str | None
    eta_seconds: float | None
    preview_url: str | None
    width: int | None
    height: int | None


class Item(Resource, frozen=True, kw_only=True):
    """A queue item of InvokeAI's; `step_id` null when it is not ours."""

    backend_id: UUID
    item_id: int
    batch_id: str
    step_id: UUID | None
    ordinal: int | None
    status: ItemStatus
    error: str | None
    created_at: datetime | None
    started_at: datetime | None
    completed_at: datetime | None
    progress: Progress | None


class Step(Resource, frozen=True, kw_only=True):
    id: UUID
    session_id: UUID
    parent_id: UUID | None
    source_photo_id: UUID | None
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
    """The latest pick, else the latest alternative that is home."""


class SessionDetail(Session, frozen=True, kw_only=True):
    steps: list[Step]


class BackendLedger(Resource, frozen=True, kw_only=True):
    """Rule 10: made = retrieved + waiting + failed + gone; expected = made + live items + what batches still want."""

    expected: int
    made: int
    retrieved: int
    waiting: int
    failed: int
    gone: int
    home: bool


class Ledger(Resource, frozen=True, kw_only=True):
    total: BackendLedger
    backends: dict[str, BackendLedger]


class QueueCounts(Resource, frozen=True, kw_only=True):
    pending: int
    in_progress: int
    ours: int
    """How many of these are ours."""


class Trouble(Resource, frozen=True, kw_only=True):
    """What is wrong with Darkroom itself, or with a server though it answers, until it is right again."""

    code: str
    """Stable, for programs: e.g. `no_events`, `disk_full`."""
    since: datetime
    words: str
    """One sentence for the owner."""


class Backend(Resource, frozen=True, kw_only=True):
    id: UUID
    name: str
    kind: Literal["server", "demo", "runpod", "command"]
    url: str
    queue_id: str
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
    """When a server that is away is tried again; null while it is tried, and when it is connected."""
    videos: int
    """Videos seen there, which this release does not retrieve (rule 6)."""
    older_images: int
    """Images there from before Darkroom watched it: they stay there, to be brought by Import (rule 6)."""
    error: str | None
    troubles: list[Trouble]
    """Oldest first; empty when all is well."""


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
    """What an API provider's model can do."""
    description: str | None
    default_settings: NullableObject
    trigger_phrases: list[str] | None
    """Words that call upon it in a prompt."""
    seen_at: datetime


class Removed(Resource, frozen=True, kw_only=True):
    id: UUID


class ModelsUpdated(Resource, frozen=True, kw_only=True):
    backend_id: UUID


class SettingsUpdated(Resource, frozen=True, kw_only=True):
    """These have another value now: read them again."""

    names: list[str]


class ItemProgress(Progress, frozen=True, kw_only=True):
    backend_id: UUID
    item_id: int
    batch_id: str
    step_id: UUID | None


class QueueStatus(QueueCounts, frozen=True, kw_only=True):
    backend_id: UUID


class BulkProgress(Resource, frozen=True, kw_only=True):
    """How far a change to many photos is."""

    id: UUID
    """Of the call."""
    action: BulkAction
    done: int
    total: int | None
    """Null while nobody knows; equal to `done` when the call has ended."""


class Hello(Resource, frozen=True, kw_only=True):
    """The snapshot that opens every feed; its `seq` is where durable messages stand."""

    epoch: str
    version: str
    backends: list[Backend]
    steps: list[Step]
    items: list[Item]
    ledger: Ledger


class HelloMessage(Resource, frozen=True, kw_only=True):
    """The feed's first message, as REST answers it."""

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
