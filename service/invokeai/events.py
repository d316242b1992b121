"""What InvokeAI says, in events and REST answers: what we use, optional where some version lacks it (FACTS §11)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from msgspec import Struct
from msgspec.structs import force_setattr

Int32 = Annotated[int, msgspec.Meta(ge=-(2**31), lt=2**31)]
Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
Id = Annotated[str, msgspec.Meta(max_length=500)]
"""Of a batch or a session; a uuid unless its maker chose another."""
IDS = ("batch_id", "session_id")
LONGEST_NAME = 255

REDACTED = "redacted"
"""What multiuser servers put in place of another user's ids (FACTS §9)."""


class Said(Struct, frozen=True, kw_only=True):
    """Base of everything InvokeAI says. Its times come without a zone and mean UTC (FACTS §7). What the database cannot
    hold is malformed: larger numbers, ids with characters that cannot be printed, times beyond the year 9999."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if isinstance(value, datetime):
                force_setattr(self, name, _in_utc(value))
            elif name in IDS and isinstance(value, str) and not value.isprintable():
                raise ValueError(f"{name} has characters that cannot be printed")


def _in_utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("a time beyond the year 9999, or before the year 1") from None


def is_image_name(name: str) -> bool:
    """Names are one segment of a path, and text that a database can hold."""
    return 0 < len(name) <= LONGEST_NAME and name.isprintable() and not {"/", "\\"} & set(name)


def image_names(result: Any) -> tuple[str, ...]:
    """Every `{image_name}` anywhere in a node's result, in order, each once (rule 4)."""
    names: dict[str, None] = {}
    waiting = [result]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            name = value.get("image_name")
            if isinstance(name, str) and name:
                names[name] = None
            waiting.extend(reversed(value.values()))
        elif isinstance(value, list):
            waiting.extend(reversed(value))
    return tuple(names)


# --- Parts ---


class QueueCounts(Said, frozen=True, kw_only=True):
    """The queue as a whole, with the item it runs now."""

    item_id: int | None = None
    batch_id: str | None = None
    session_id: str | None = None
    pending: int = 0
    in_progress: int = 0
    waiting: int = 0
    completed: int = 0
    failed: int = 0
    canceled: int = 0
    total: int = 0


class Invocation(Said, frozen=True, kw_only=True):
    """The node that runs; its other inputs are left out."""

    id: str
    type: str
    is_intermediate: bool = False


class PreviewImage(Said, frozen=True, kw_only=True):
    """Width and height are the final picture's; the JPEG in `dataURL` is smaller (FACTS §5)."""

    width: int
    height: int
    dataURL: str  # noqa: N815 (InvokeAI's name)


class FieldValue(Said, frozen=True, kw_only=True):
    """What a batch's `data` put into a node of this item."""

    node_path: str
    field_name: str
    value: Any = None


# --- Queue events (FACTS §2) ---


class QueueEvent(Said, frozen=True, kw_only=True):
    queue_id: str
    timestamp: int = 0


class BatchEnqueued(QueueEvent, frozen=True, kw_only=True):
    batch_id: Id
    enqueued: int = 0
    requested: int = 0
    origin: str | None = None
    user_id: str | None = None


class ItemEvent(QueueEvent, frozen=True, kw_only=True):
    item_id: Int64
    batch_id: Id
    session_id: Id
    origin: str | None = None
    destination: str | None = None
    user_id: str | None = None


class ItemStatusChanged(ItemEvent, frozen=True, kw_only=True):
    """`status_sequence` is missing before 6.13; `waiting` exists since 6.14 (FACTS §11)."""

    status: str
    status_sequence: Int32 | None = None
    error_type: str | None = None
    error_message: str | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    queue_counts: QueueCounts | None = msgspec.field(default=None, name="queue_status")


class InvocationEvent(ItemEvent, frozen=True, kw_only=True):
    invocation: Invocation | None = None
    invocation_source_id: str = ""


class InvocationStarted(InvocationEvent, frozen=True, kw_only=True):
    pass


class InvocationProgress(InvocationEvent, frozen=True, kw_only=True):
    """`percentage` is 0..1, null outside denoising."""

    message: str = ""
    percentage: float | None = None
    image: PreviewImage | None = None
    device: str | None = None


class InvocationComplete(InvocationEvent, frozen=True, kw_only=True):
    """`image_names` is all that is kept of the node's result."""

    result: Any = None
    image_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.result is not None:
            force_setattr(self, "image_names", image_names(self.result))
            force_setattr(self, "result", None)


class InvocationError(InvocationEvent, frozen=True, kw_only=True):
    error_type: str | None = None
    error_message: str | None = None


class ItemsCanceled(QueueEvent, frozen=True, kw_only=True):
    canceled_item_ids: list[int]


class ItemsRetried(QueueEvent, frozen=True, kw_only=True):
    """Names the old items; the new ones show up by themselves (FACTS §3)."""

    retried_item_ids: list[int]


class QueueCleared(QueueEvent, frozen=True, kw_only=True):
    user_id: str | None = None


class ModelsChanged(Said, frozen=True, kw_only=True):
    """A model was installed. InvokeAI has no event for a deleted one."""

    key: str | None = None


AnyItemEvent = ItemStatusChanged | InvocationStarted | InvocationProgress | InvocationComplete | InvocationError
Event = BatchEnqueued | AnyItemEvent | ItemsCanceled | ItemsRetried | QueueCleared | ModelsChanged

EVENTS: dict[str, type[Event]] = {
    "batch_enqueued": BatchEnqueued,
    "queue_item_status_changed": ItemStatusChanged,
    "invocation_started": InvocationStarted,
    "invocation_progress": InvocationProgress,
    "invocation_complete": InvocationComplete,
    "invocation_error": InvocationError,
    "queue_items_canceled": ItemsCanceled,
    "queue_items_retried": ItemsRetried,
    "queue_cleared": QueueCleared,
    "model_install_complete": ModelsChanged,
}


def decode(name: str, payload: Any) -> Event | None:
    """None for an event we do not use; raises `msgspec.ValidationError` for a malformed one."""
    kind = EVENTS.get(name)
    return None if kind is None else msgspec.convert(payload, kind)


# --- REST answers (FACTS §7) ---


class SessionResults(Said, frozen=True, kw_only=True):
    results: dict[str, Any] = {}


class ItemReading(Said, frozen=True, kw_only=True):
    """What every reading of an item tells. GET omits nulls, the others carry them."""

    item_id: Int64
    batch_id: Id
    status: str
    origin: str | None = None
    destination: str | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    parent_item_id: int | None = None
    user_id: str | None = None
    field_values: list[FieldValue] | None = None


class ItemSummary(ItemReading, frozen=True, kw_only=True):
    """A reading without session: no session id, no results, no sequence."""


class QueueItem(ItemReading, frozen=True, kw_only=True):
    """`image_names` is all that is kept of the session; empty while the item runs (FACTS §4)."""

    session_id: Id
    status_sequence: Int32 | None = None
    error_type: str | None = None
    error_message: str | None = None
    retried_from_item_id: Int64 | None = None
    session: SessionResults | None = None
    image_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.session is not None:
            force_setattr(self, "image_names", image_names(self.session.results))
            force_setattr(self, "session", None)


class BatchStatus(QueueCounts, frozen=True, kw_only=True):
    """An unknown batch is all zeros with a null origin (FACTS §7)."""

    origin: str | None = None
    destination: str | None = None


class QueueStatus(QueueCounts, frozen=True, kw_only=True):
    is_started: bool = True
    is_processing: bool = False


class EnqueueResult(Said, frozen=True, kw_only=True):
    """`enqueued` may be less than `requested`, even 0: a full queue. `item_ids` ascend; None before 6.0."""

    batch_id: str
    enqueued: int
    requested: int
    item_ids: list[int] | None = None


class ImageDTO(Said, frozen=True, kw_only=True):
    image_name: str
    image_category: str
    image_origin: str
    width: Int32
    height: Int32
    created_at: datetime
    is_intermediate: bool
    session_id: Id | None = None
    node_id: str | None = None
    starred: bool = False
    has_workflow: bool = False
    board_id: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not is_image_name(self.image_name):
            raise ValueError(f"an image name that is none: {self.image_name[:60]!r}")


class UnreadableImage(Struct, frozen=True):
    """An image InvokeAI lists whose record cannot be read or kept."""

    name: str
    why: str


class ImagePage(Struct, frozen=True, kw_only=True):
    """Part of a list of images; the `unreadable` ones stood among the `items`."""

    items: list[ImageDTO]
    unreadable: list[UnreadableImage]
    total: int
    limit: int
    offset: int

    @property
    def listed(self) -> int:
        """How many of the list it covers."""
        return len(self.items) + len(self.unreadable)


OF_A_MODEL: dict[str, type] = {
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
"""What some bases have (FACTS §12), by its type; None where InvokeAI says nothing or something else."""


class Model(Said, frozen=True, kw_only=True):
    key: str
    hash: str
    name: str
    base: str
    type: str
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
            if not _storable(getattr(self, name)):
                raise ValueError(f"{name} has characters that no database can hold")
        for name, kind in OF_A_MODEL.items():  # what it can do without
            value = getattr(self, name)
            if not isinstance(value, kind) or isinstance(value, bool) or not _storable(value):
                force_setattr(self, name, None)
        if not all(isinstance(phrase, str) for phrase in self.trigger_phrases or ()):
            force_setattr(self, "trigger_phrases", None)


def _storable(value: Any) -> bool:
    """Neither NUL characters nor lone surrogates anywhere in it, nor a number too large for the column."""
    if isinstance(value, int):
        return -(2**31) <= value < 2**31
    try:
        return b"\\u0000" not in msgspec.json.encode(value)
    except UnicodeEncodeError:
        return False
